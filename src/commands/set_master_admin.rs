//! `set-master-admin`: the guide's step 3.

use serde_json::json;

use crate::admin::change::{self, Authority, Change, Done, Request};
use crate::admin::guards::Reason;
use crate::admin::lockout::Miss;
use crate::admin::master::{self, Decision, Wish};
use crate::admin::people::{self, Depth, Person};
use crate::admin::rights;
use crate::admin::standing::{self, Standing};
use crate::commands::admin::{authority, shown};
use crate::context::Context;
use crate::db::locks::{self, Holder};
use crate::db::patience::{Attempt, Setback};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Outcome, Report, Severity, StepStatus};

/// Flags of `set-master-admin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom: an email in any case, or an id [default: the oldest admin]
    #[arg(value_parser = authority::user)]
    pub user: Option<String>,
    /// Somebody else is master admin, and hands it on
    #[arg(long, requires = "user")]
    pub transfer: bool,
    /// Also an admin who cannot sign in with a password
    #[arg(long)]
    pub allow_no_login: bool,
    /// Who acts.
    #[command(flatten)]
    pub authority: authority::Args,
}

/// The command.
pub struct SetMasterAdmin {
    wish: Wish,
    authority: authority::Args,
}

impl SetMasterAdmin {
    /// With these flags.
    pub fn new(args: Args) -> Self {
        let Args { user, transfer, allow_no_login, authority } = args;
        let allow_default_password = authority.allow_default_password;
        Self { wish: Wish { user, transfer, allow_default_password, allow_no_login }, authority }
    }

    async fn look(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Seen, Failure> {
        let what = "cannot look at the app's admins";
        let sets =
            session.begin_within(Mode::Snapshot, attempt.timeouts, what, standing::SQL).await?;
        let standing = Standing::of(&sets);
        standing.check()?;
        standing.act_for_owner(session).await?;
        let users = master::Seen::read(session, &standing, &self.wish).await?;
        let mut decision = master::decide(&users, &self.wish);
        if let Ok(Decision::Set { target, .. }) = &mut decision
            && let Some(whole) = people::by_id(session, &standing, Depth::Whole, &target.id).await?
        {
            *target = whole;
        }
        let mut acting = Vec::new();
        match &self.authority.acting {
            Some(typed) => {
                acting = people::matching(session, &standing, Depth::Passwords, typed).await?;
            }
            None => {
                for master in &users.masters {
                    let whole = people::by_id(session, &standing, Depth::Passwords, &master.id);
                    acting.extend(whole.await?);
                }
            }
        }
        let masters = users.masters;
        let mut seen = Seen {
            masters,
            decision,
            seeded: false,
            acting,
            guarded: standing.has_function,
            holders: Vec::new(),
            misses: Vec::new(),
            cannot: None,
            barred: None,
        };
        let change = Change::SetMaster { wish: self.wish.clone(), masters: Vec::new() };
        seen.barred = rights::barred(session, &standing, &change).await?;
        if let Ok(Some(Acting { typed, id })) = self.acting(&seen) {
            let actor = seen.acting.iter().find(|person| Some(&person.id) == id.as_ref());
            seen.misses = self.authority.misses(cx, session, &typed, actor).await?;
        }
        Ok(seen)
    }

    /// Who has it then hands it back: by the password of theirs, which the command says.
    fn undo(&self, cx: &Context, target: &Person, previous: &[Person]) -> Option<String> {
        match previous {
            [before] if before.is_admin() => {
                let command = "set-master-admin --transfer";
                let glass = self.authority.break_glass;
                let by = Some(target.email.as_str()).filter(|_| !glass);
                shown::undo(cx, command, by, glass, &before.id)
            }
            _ => None,
        }
    }

    fn way_back(&self, cx: &Context, target: &Person, previous: &[Person]) -> String {
        match previous {
            [] => "none: it is handed on, never given up".into(),
            [before] if before.is_admin() => {
                self.undo(cx, target, previous).unwrap_or_else(|| shown::NO_LINE.into())
            }
            _ => "none: it was nobody's to hand on".into(),
        }
    }

    /// Who must prove that they agree; none: nobody has it and nobody was named, or the glass is broken.
    fn acting(&self, seen: &Seen) -> Result<Option<Acting>, Failure> {
        let Ok(Decision::Set { previous, .. }) = &seen.decision else { return Ok(None) };
        if self.authority.break_glass {
            return Ok(None);
        }
        if let Some(typed) = &self.authority.acting {
            // Told only after a password: who that is, and whether it is theirs to hand on.
            let id = authority::id(people::resolve(typed, &seen.acting)?);
            return Ok(Some(Acting { typed: typed.clone(), id }));
        }
        let Some(master) = master::handing_on(previous, &seen.masters, None)? else {
            if self.authority.admin_password_stdin {
                return Err(Failure::refused(
                    "a password is to be read, and nobody is named whose it is",
                )
                .because("nobody is master admin, so nobody has to agree")
                .hint("name who acts by --as, or leave out --admin-password-stdin"));
            }
            return Ok(None);
        };
        if !master.is_admin() {
            return Err(Failure::refused(format!("the master admin is not an admin: {master}"))
                .because("who hands it on must be one")
                .hint("to do it all the same: --transfer --break-glass --reason TEXT"));
        }
        Ok(Some(Acting { typed: master.email.clone(), id: Some(master.id.clone()) }))
    }

    /// For a dry run: why who must agree could not.
    async fn foresee(&self, cx: &Context, seen: &Seen) -> Result<Option<Reason>, Failure> {
        let Ok(Some(Acting { id, .. })) = self.acting(seen) else { return Ok(None) };
        let has_it = |id: &String| seen.masters.iter().any(|master| master.id == *id);
        let hands_on = seen.masters.is_empty() || id.as_ref().is_some_and(has_it);
        let actor = seen.acting.iter().find(|person| hands_on && Some(&person.id) == id.as_ref());
        self.authority.foresee(cx, actor, &seen.misses).await
    }

    /// What is to be done, or was.
    fn step(&self, target: &Person, previous: &[Person]) -> Step {
        let risk = if self.authority.break_glass { Risk::Destructive } else { Risk::Additive };
        let mut step =
            Step::new("set-master-admin", format!("make {target} the master admin"), risk);
        step.detail = previous.first().map(|_| {
            let names: Vec<_> = previous.iter().map(ToString::to_string).collect();
            format!("no longer: {}", names.join(", "))
        });
        step
    }

    fn report(&self, cx: &Context, plan: Plan<Work>, done: &Done) -> Report {
        if done.nothing {
            let plan = already(done.target.clone());
            let mut report = Report::new(Outcome::NothingToDo);
            report.body = plan.screen;
            report.data = plan.data;
            report.next = plan.next;
            return report;
        }
        let mut report = Report::new(Outcome::Done);
        let step = self.step(&done.target, &done.previous);
        report.steps = vec![step.result(StepStatus::Done, None)];
        report.body.push(Block::Text(format!("Master admin set: {}", done.target.email)));
        report.data = json!({
            "master_admin": shown::user(&done.target),
            "previous": done.previous.iter().map(shown::user).collect::<Vec<_>>(),
        });
        report.findings = plan.findings;
        report.findings.extend(shown::findings(done));
        report.next = Some(Next::run("markenmate verify"));
        report.undo = self.undo(cx, &done.target, &done.previous);
        if report.undo.is_some() && !self.authority.break_glass {
            let email = &done.target.email;
            report.body.push(Block::Text(format!("to undo it asks for the password of {email}")));
        }
        report
    }
}

/// What there is to see, and what follows.
pub struct Seen {
    masters: Vec<Person>,
    decision: Result<Decision, Failure>,
    /// Whoever gets it has the app's seed password.
    seeded: bool,
    acting: Vec<Person>,
    guarded: bool,
    holders: Vec<Holder>,
    misses: Vec<Miss>,
    /// In a dry run: why nobody would agree.
    cannot: Option<Reason>,
    /// Why this role can change nothing.
    barred: Option<Failure>,
}

/// Whose password is asked for.
#[derive(Debug, Clone)]
struct Acting {
    typed: String,
    id: Option<String>,
}

/// Who gets it, and who must agree.
#[derive(Debug, Clone)]
pub struct Work {
    target: Person,
    masters: Vec<String>,
    acting: Option<Acting>,
}

impl Operation for SetMasterAdmin {
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
        self.authority.check(cx)?;
        let seen = self.look(cx, session, attempt).await;
        session.end().await;
        let mut seen = seen?;
        seen.holders = locks::table_holders(session, &change::TABLES).await?;
        if let Ok(Decision::Set { target, .. }) = &seen.decision
            && !self.wish.allow_default_password
        {
            seen.seeded = authority::seeded(cx, target).await?;
        }
        if cx.settings.dry_run {
            seen.cannot = self.foresee(cx, &seen).await?;
        }
        Ok(seen)
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Work>, Failure> {
        let hinted = |failure| self.authority.hinted(failure);
        let (target, tied, previous) = match seen.decision.clone().map_err(hinted)? {
            Decision::Already(master) => return Ok(already(master)),
            Decision::Set { target, tied, previous } => (target, tied, previous),
        };
        let about = |failure| hinted(shown::about(failure, &target));
        if let Some(failure) = &seen.barred {
            return Err(about(failure.clone()));
        }
        master::check(&target, &self.wish, seen.seeded).map_err(about)?;
        let acting = self.acting(seen).map_err(about)?;
        if acting.is_some() {
            self.authority.can_ask(cx).map_err(about)?;
            self.authority.locked(&seen.misses).map_err(about)?;
        }
        if let Some(reason) = &seen.cannot {
            return Err(about(reason.clone().into()));
        }
        let step = self.step(&target, &previous);
        let by = acting.as_ref().map(|acting| acting.typed.as_str());
        let around = shown::Around {
            by: authority::shown(&self.authority, by),
            guarded: seen.guarded,
            holders: &seen.holders,
            way_back: self.way_back(cx, &target, &previous),
        };
        Ok(Plan {
            screen: shown::card(&target, around),
            findings: tie(&target, &tied).into_iter().collect(),
            question: format!("Make {} the master admin?", target.email),
            steps: vec![step],
            asks_later: false,
            data: json!({ "master_admin": shown::user(&target) }),
            next: None,
            work: Work { target, masters: master::ids(&seen.masters), acting },
        })
    }

    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Work>,
    ) -> Result<Report, Failure> {
        let authority = match &plan.work.acting {
            Some(Acting { typed, id }) => self.authority.prove(cx, typed, id.clone()).await?,
            None if self.authority.break_glass => self.authority.prove(cx, "", None).await?,
            None => Authority::Operator,
        };
        let request = Request {
            command: "set-master-admin",
            change: Change::SetMaster {
                wish: self.wish.clone(),
                masters: plan.work.masters.clone(),
            },
            target: plan.work.target.clone(),
            authority,
        };
        let done = change::carry_out(cx, session, &request).await;
        let done = done
            .map_err(|failure| self.authority.hinted(shown::about(failure, &plan.work.target)))?;
        Ok(self.report(cx, plan, &done))
    }
}

fn already(master: Person) -> Plan<Work> {
    Plan {
        steps: Vec::new(),
        screen: vec![Block::Text(format!("nothing to do: {master} is the master admin"))],
        findings: Vec::new(),
        question: String::new(),
        asks_later: false,
        data: json!({ "master_admin": shown::user(&master) }),
        next: Some(Next::run("markenmate verify")),
        work: Work { target: master, masters: Vec::new(), acting: None },
    }
}

/// That there was a choice is said.
fn tie(target: &Person, tied: &[Person]) -> Option<Finding> {
    let others: Vec<_> = tied.iter().map(ToString::to_string).collect();
    (!tied.is_empty()).then(|| Finding {
        id: "tie".into(),
        severity: Severity::Info,
        title: "The oldest admin".into(),
        subject: target.email.clone(),
        detail: format!("as old as {}: the first by id in byte order was taken", others.join(", ")),
        remedy: "another one: markenmate set-master-admin USER, with --transfer once this is done"
            .into(),
    })
}
