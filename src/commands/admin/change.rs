//! `admin promote`, `demote`, `revoke-sessions`.

use serde_json::{Value, json};

use crate::admin::change::{self, Change as What, Done, Request};
use crate::admin::guards::{self, Reason, RoleChange, Verdict};
use crate::admin::lockout::Miss;
use crate::admin::people::{self, Depth, Person};
use crate::admin::rights;
use crate::admin::standing::{self, Standing};
use crate::context::Context;
use crate::db::locks::{self, Holder};
use crate::db::patience::{Attempt, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Outcome, Report, StepStatus};

use super::{ChangeArgs, authority, shown};

/// One of the three commands.
pub struct Change {
    what: What,
    args: ChangeArgs,
}

impl Change {
    /// `admin promote`
    pub fn promote(args: ChangeArgs) -> Self {
        Self { what: What::Promote, args }
    }

    /// `admin demote`
    pub fn demote(args: ChangeArgs) -> Self {
        Self { what: What::Demote, args }
    }

    /// `admin revoke-sessions`
    pub fn revoke_sessions(args: ChangeArgs) -> Self {
        Self { what: What::RevokeSessions, args }
    }

    fn command(&self) -> &'static str {
        match self.what {
            What::Promote => "admin promote",
            What::Demote => "admin demote",
            _ => "admin revoke-sessions",
        }
    }

    fn words(&self, target: &Person) -> (String, String, &'static str) {
        let email = &target.email;
        match self.what {
            What::Promote => {
                (format!("make {email} an admin"), format!("{email} is an admin"), "promote")
            }
            What::Demote => (
                format!("make {email} an ordinary user"),
                format!("{email} is not an admin"),
                "demote",
            ),
            _ => (
                format!("end all sessions of {email}"),
                format!("{email} has no session"),
                "revoke-sessions",
            ),
        }
    }

    /// It is so already.
    fn holds(&self, target: &Person) -> bool {
        match self.what {
            What::Promote => target.is_admin(),
            What::Demote => !target.is_admin(),
            _ => target.sessions + target.expired == 0,
        }
    }

    /// What would be refused, where nobody proves anything: in a dry run.
    fn foreseen(&self, seen: &Seen, target: &Person) -> Result<(), Failure> {
        let authority = &self.args.authority;
        if let Some(reason) = &seen.cannot {
            return Err(reason.clone().into());
        }
        let actor = match &authority.acting {
            None => None,
            Some(typed) => people::resolve(typed, &seen.acting)?,
        };
        if self.what == What::RevokeSessions {
            return Ok(());
        }
        let demotes = self.what == What::Demote;
        let change = RoleChange { target, demotes, actor, admins: seen.admins };
        match guards::role_change(change) {
            Verdict::Denied(reason) => Err(reason.into()),
            Verdict::Allowed => Ok(()),
        }
    }

    fn report(&self, cx: &Context, plan: Plan<Work>, done: &Done) -> Report {
        let (_, so_it_is, _) = self.words(&done.target);
        let outcome = if done.nothing { Outcome::NothingToDo } else { Outcome::Done };
        let mut report = Report::new(outcome);
        report.data = self.data(&done.target, Some(done));
        if done.nothing {
            report.body.push(Block::Text(format!("nothing to do: {so_it_is}")));
            return report;
        }
        report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
        report.body.push(Block::Text(match self.what {
            What::RevokeSessions => format!(
                "{} session{} of {} ended: {}",
                done.revoked,
                if done.revoked == 1 { "" } else { "s" },
                done.target.email,
                shown::sessions(done.revoked.saturating_sub(done.expired), done.expired)
            ),
            _ => format!("{so_it_is} now"),
        }));
        report.findings = shown::findings(done);
        report.undo = self.undo(cx, &done.target);
        report
    }

    fn undo(&self, cx: &Context, target: &Person) -> Option<String> {
        let back = match self.what {
            What::Promote => "admin demote",
            What::Demote => "admin promote",
            _ => return None,
        };
        let authority::Args { acting, break_glass, .. } = &self.args.authority;
        shown::undo(cx, back, acting.as_deref(), *break_glass, &target.id)
    }

    fn way_back(&self, cx: &Context, target: &Person) -> String {
        match self.what {
            What::RevokeSessions => "none: whoever it is signs in again".into(),
            _ => self.undo(cx, target).unwrap_or_else(|| shown::NO_LINE.into()),
        }
    }

    fn data(&self, target: &Person, done: Option<&Done>) -> Value {
        let changed = done.is_some_and(|done| !done.nothing);
        let role = match self.what {
            What::Promote if changed => "admin",
            What::Demote if changed => "user",
            _ => &target.role,
        };
        let mut user = shown::user(target);
        user["old_role"] = json!(target.role);
        user["role"] = json!(role);
        let mut data = json!({
            "user": user,
            "acting": done.and_then(|done| done.actor.as_ref()).map(shown::user),
            "break_glass": self.args.authority.break_glass,
        });
        if self.what == What::RevokeSessions {
            data["revoked"] = json!(done.map_or(0, |done| done.revoked));
            data["expired"] = json!(done.map_or(0, |done| done.expired));
        }
        data
    }
}

/// What there is to see.
pub struct Seen {
    found: Vec<Person>,
    acting: Vec<Person>,
    admins: usize,
    guarded: bool,
    holders: Vec<Holder>,
    misses: Vec<Miss>,
    /// In a dry run: why nobody would act.
    cannot: Option<Reason>,
    /// Why this role can change nothing.
    barred: Option<Failure>,
}

/// Whom it is about, and who acts.
#[derive(Debug, Clone)]
pub struct Work {
    target: Person,
    acting: Option<String>,
}

impl Operation for Change {
    type State = Seen;
    type Work = Work;

    fn access(&self) -> Access {
        Access::Write
    }

    fn waits_for(&self) -> &'static [&'static str] {
        &change::TABLES
    }

    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Seen, Setback> {
        self.args.authority.check(cx)?;
        let seen = self.look(cx, session, attempt).await;
        session.end().await;
        let mut seen = seen?;
        seen.holders = locks::table_holders(session, &change::TABLES).await?;
        let authority = &self.args.authority;
        if cx.settings.dry_run
            && let Some(typed) = &authority.acting
        {
            let actor = people::resolve(typed, &seen.acting)?;
            seen.cannot = authority.foresee(cx, actor, &seen.misses).await?;
        }
        Ok(seen)
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Work>, Failure> {
        let ChangeArgs { user, authority } = &self.args;
        let target = people::required(user, &seen.found)?;
        let acting = match &authority.acting {
            Some(typed) => authority::id(people::resolve(typed, &seen.acting)?),
            None => None,
        };
        let (to_do, so_it_is, step) = self.words(target);
        let mut plan = Plan {
            work: Work { target: target.clone(), acting },
            steps: Vec::new(),
            screen: vec![Block::Text(format!("nothing to do: {so_it_is}"))],
            findings: Vec::new(),
            question: format!("{}?", capital(&to_do)),
            asks_later: false,
            data: self.data(target, None),
            next: None,
        };
        if self.what != What::RevokeSessions {
            guards::known_role(target)?;
        }
        if self.holds(target) {
            return Ok(plan);
        }
        let about = |failure| authority.hinted(shown::about(failure, target));
        if let Some(failure) = &seen.barred {
            return Err(about(failure.clone()));
        }
        if cx.settings.dry_run {
            self.foreseen(seen, target).map_err(about)?;
        }
        if !authority.break_glass {
            authority.can_ask(cx).map_err(about)?;
            authority.locked(&seen.misses).map_err(about)?;
        }
        let risk = if authority.break_glass { Risk::Destructive } else { Risk::Additive };
        plan.steps = vec![Step::new(step, to_do, risk)];
        let around = shown::Around {
            by: authority::shown(authority, authority.acting.as_deref()),
            guarded: seen.guarded,
            holders: &seen.holders,
            way_back: self.way_back(cx, target),
        };
        plan.screen = shown::card(target, around);
        Ok(plan)
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Work>,
    ) -> Result<Report, Failure> {
        let typed = self.args.authority.acting.as_deref().unwrap_or_default();
        let authority = self.args.authority.prove(cx, typed, plan.work.acting.clone()).await?;
        let request = Request {
            command: self.command(),
            change: self.what.clone(),
            target: plan.work.target.clone(),
            authority,
        };
        let done = change::carry_out(cx, session, &request).await;
        let done = done.map_err(|failure| {
            self.args.authority.hinted(shown::about(failure, &plan.work.target))
        })?;
        Ok(self.report(cx, plan, &done))
    }
}

impl Change {
    async fn look(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Seen, Failure> {
        let what = "cannot look at the app's users";
        let sets =
            session.begin_within(Mode::Snapshot, attempt.timeouts, what, standing::SQL).await?;
        let standing = Standing::of(&sets);
        standing.check()?;
        standing.act_for_owner(session).await?;
        let ChangeArgs { user, authority } = &self.args;
        let found = people::matching(session, &standing, Depth::Whole, user).await?;
        let (mut acting, mut misses) = (Vec::new(), Vec::new());
        if let Some(typed) = &authority.acting {
            acting = people::matching(session, &standing, Depth::Passwords, typed).await?;
            let actor = people::resolve(typed, &acting)?;
            misses = authority.misses(cx, session, typed, actor).await?;
        }
        let admins = people::count_admins(session).await?;
        let (guarded, holders) = (standing.has_function, Vec::new());
        let barred = rights::barred(session, &standing, &self.what).await?;
        Ok(Seen { found, acting, admins, guarded, holders, misses, cannot: None, barred })
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
