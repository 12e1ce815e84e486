//! `set-master-admin`: the guide's step 3.

use serde_json::json;

use crate::admin::change::{self, Authority, Change, Done, Request};
use crate::admin::master::{self, Decision, Wish};
use crate::admin::people::{self, Person};
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
    /// Also an account that still has the app's seed password, or must change its password
    #[arg(long)]
    pub allow_default_password: bool,
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
        let Args { user, transfer, allow_default_password, allow_no_login, authority } = args;
        Self { wish: Wish { user, transfer, allow_default_password, allow_no_login }, authority }
    }

    async fn look(&self, session: &Session, attempt: Attempt) -> Result<Seen, Failure> {
        let what = "cannot look at the app's admins";
        let sets =
            session.begin_within(Mode::Snapshot, attempt.timeouts, what, standing::SQL).await?;
        let standing = Standing::of(&sets);
        standing.check()?;
        standing.act_for_owner(session).await?;
        let matching = async |text: &Option<String>| match text {
            Some(text) => people::matching(session, text).await,
            None => Ok(Vec::new()),
        };
        Ok(Seen {
            users: master::Seen {
                masters: people::masters(session).await?,
                admins: people::admins(session).await?,
                found: matching(&self.wish.user).await?,
            },
            acting: matching(&self.authority.acting).await?,
            guarded: standing.has_function,
            holders: Vec::new(),
        })
    }

    /// Who had it, hands it back.
    fn undo(&self, cx: &Context, previous: &[Person]) -> Option<String> {
        match previous {
            [before] if before.is_admin() => {
                let command = "set-master-admin --transfer";
                shown::undo(cx, command, None, self.authority.break_glass, &before.id)
            }
            _ => None,
        }
    }

    fn way_back(&self, cx: &Context, previous: &[Person]) -> String {
        match previous {
            [] => "none: it is handed on, never given up".into(),
            [before] if before.is_admin() => {
                self.undo(cx, previous).unwrap_or_else(|| shown::NO_LINE.into())
            }
            _ => "none: it was nobody's to hand on".into(),
        }
    }

    /// Who must agree; none: nobody has it, or the glass is broken.
    fn acting(&self, seen: &Seen, previous: &[Person]) -> Result<Option<Acting>, Failure> {
        if self.authority.break_glass || previous.is_empty() {
            return Ok(None);
        }
        let named = match &self.authority.acting {
            None => None,
            Some(typed) => match people::resolve(typed, &seen.acting)? {
                // Told only after a password: it is not known whose it is.
                None => return Ok(Some(Acting { typed: typed.clone(), id: None })),
                Some(person) => Some(person),
            },
        };
        let master = master::handing_on(previous, &seen.users.masters, named)?;
        let Some(master) = master else { return Ok(None) };
        if !master.is_admin() {
            return Err(Failure::refused(format!("the master admin is not an admin: {master}"))
                .because("who hands it on must be one")
                .hint("to do it all the same: --transfer --break-glass --reason TEXT"));
        }
        let typed = self.authority.acting.clone().unwrap_or_else(|| master.email.clone());
        Ok(Some(Acting { typed, id: Some(master.id.clone()) }))
    }
}

/// What there is to see.
pub struct Seen {
    users: master::Seen,
    acting: Vec<Person>,
    guarded: bool,
    holders: Vec<Holder>,
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
        let seen = self.look(session, attempt).await;
        session.end().await;
        let mut seen = seen?;
        seen.holders = locks::table_holders(session, &change::TABLES).await?;
        Ok(seen)
    }

    fn plan(&self, cx: &Context, seen: &Seen) -> Result<Plan<Work>, Failure> {
        let (target, tied, previous) = match master::decide(&seen.users, &self.wish)? {
            Decision::Already(master) => return Ok(already(master)),
            Decision::Set { target, tied, previous } => (target, tied, previous),
        };
        let about = |failure| shown::about(failure, &target);
        master::check(&target, &self.wish).map_err(about)?;
        let acting = self.acting(seen, &previous).map_err(about)?;
        if acting.is_some() {
            self.authority.can_ask(cx).map_err(about)?;
        }
        let risk = if self.authority.break_glass { Risk::Destructive } else { Risk::Additive };
        let mut step =
            Step::new("set-master-admin", format!("make {target} the master admin"), risk);
        step.detail = previous.first().map(|_| {
            let names: Vec<_> = previous.iter().map(ToString::to_string).collect();
            format!("no longer: {}", names.join(", "))
        });
        let by = acting.as_ref().map(|acting| acting.typed.as_str());
        let around = shown::Around {
            by: authority::shown(&self.authority, by),
            guarded: seen.guarded,
            holders: &seen.holders,
            way_back: self.way_back(cx, &previous),
        };
        Ok(Plan {
            screen: shown::card(&target, around),
            findings: tie(&target, &tied).into_iter().collect(),
            question: format!("Make {} the master admin?", target.email),
            steps: vec![step],
            asks_later: false,
            data: json!({ "master_admin": shown::user(&target) }),
            next: None,
            work: Work { target, acting },
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
            change: Change::SetMaster(self.wish.clone()),
            target: plan.work.target.id.clone(),
            authority,
        };
        let done = change::carry_out(cx, session, &request).await;
        let done = done.map_err(|failure| shown::about(failure, &plan.work.target))?;
        let mut report = report(plan, &done);
        if !done.nothing {
            report.undo = self.undo(cx, &done.previous);
        }
        Ok(report)
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
        work: Work { target: master, acting: None },
    }
}

fn report(plan: Plan<Work>, done: &Done) -> Report {
    if done.nothing {
        let plan = already(done.target.clone());
        let mut report = Report::new(Outcome::NothingToDo);
        report.body = plan.screen;
        report.data = plan.data;
        report.next = plan.next;
        return report;
    }
    let mut report = Report::new(Outcome::Done);
    report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
    report.body.push(Block::Text(format!("Master admin set: {}", done.target.email)));
    report.data = json!({
        "master_admin": shown::user(&done.target),
        "previous": done.previous.iter().map(shown::user).collect::<Vec<_>>(),
    });
    report.findings = plan.findings;
    report.findings.extend(shown::findings(done));
    report.next = Some(Next::run("markenmate verify"));
    report
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
        remedy: "another one: markenmate set-master-admin USER".into(),
    })
}
