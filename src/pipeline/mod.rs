//! inspect → plan → (dry run: stop) → consent → execute → report, once for all commands.

use std::time::Duration;

use crate::context::Context;
use crate::db::connect::Transport;
use crate::db::facts::Facts;
use crate::db::locks::Wanted;
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::Session;
use crate::failure::{Ending, Failure, Kind};
use crate::plan::Plan;
use crate::render;
use crate::report::{Block, Outcome, Report, StepStatus, Target};
use crate::settings::Consent;

mod address;
mod answers;
mod consent;
pub mod local;

use address::Address;
use consent::check_phrase;
pub use consent::{asked, can_consent, consent, phrase_for};

/// Whether a command changes the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads: works on a standby and for a reader.
    Read,
    /// The same; whether it would have to wait is what is asked, and not waited for.
    Check,
    /// Writes: a primary is demanded.
    Write,
}

/// A command that works on a database.
#[allow(async_fn_in_trait)]
pub trait Operation {
    /// What there is to see.
    type State;
    /// What is to be done.
    type Work;

    /// Whether it changes the database.
    fn access(&self) -> Access;

    /// The tables of the app for which [`Operation::inspect`] may have to wait.
    fn waits_for(&self) -> &'static [&'static str] {
        &[]
    }

    /// Looks. Changes nothing. It may leave its transaction open for [`Operation::execute`] where
    /// nobody is asked in between; the pipeline ends it where that is not reached.
    async fn inspect(
        &self,
        cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Self::State, Setback>;

    /// Decides. Pure.
    fn plan(&self, cx: &Context, state: &Self::State) -> Result<Plan<Self::Work>, Failure>;

    /// Does what an answer that is neither yes nor no stands for. True: then everything is looked at,
    /// and asked, once more.
    async fn instead(
        &self,
        _cx: &Context,
        _session: &Session,
        _answer: &str,
    ) -> Result<bool, Failure> {
        Ok(false)
    }

    /// Does it.
    async fn execute(
        &self,
        cx: &Context,
        session: &Session,
        plan: Plan<Self::Work>,
    ) -> Result<Report, Failure>;
}

/// Runs a command from connection to report. A second signal, or one that the server does not
/// answer, ends it at once.
pub async fn drive<O: Operation>(cx: &Context, operation: &O) -> Ending {
    let mut target = None;
    let work = async {
        let session = connect(cx, &mut target).await?;
        if operation.access() == Access::Write {
            session.facts.check_writable()?;
        }
        stages(cx, &session, operation).await
    };
    let result = tokio::select! {
        result = work => result,
        () = given_up(cx) => Err(cx.interrupt.abandoned()),
    };
    cx.interrupt.settle().await;
    Ending { target, result }
}

/// A second signal, or a first one that the server does not answer: `docker stop` would kill next.
async fn given_up(cx: &Context) {
    cx.interrupt.raised(1).await;
    tokio::select! {
        () = cx.interrupt.raised(2) => {}
        () = tokio::time::sleep(std::time::Duration::from_secs(8)) => {}
    }
}

async fn stages<O: Operation>(
    cx: &Context,
    session: &Session,
    operation: &O,
) -> Result<Report, Failure> {
    let address = Address::of(cx, session);
    let result = plan_and_execute(cx, session, operation, address.as_ref()).await;
    let result = result.map_err(goes_on);
    match address {
        None => result,
        Some(address) => address.result(result),
    }
}

/// What is half done, or maybe done, has a command that goes on from there.
fn goes_on(mut failure: Failure) -> Failure {
    if matches!(failure.kind, Kind::Partial | Kind::Unknown) {
        failure.next.get_or_insert_with(|| "markenmate status".into());
    }
    failure
}

async fn plan_and_execute<O: Operation>(
    cx: &Context,
    session: &Session,
    operation: &O,
    address: Option<&Address>,
) -> Result<Report, Failure> {
    loop {
        let state = look(cx, session, operation).await?;
        let plan = operation.plan(cx, &state);
        let plan = match address {
            None => plan,
            Some(address) => plan.map(|plan| address.plan(plan)),
        };
        match to_carry_out(cx, session, plan).await {
            Ok(Carry::Out(plan)) => return operation.execute(cx, session, plan).await,
            Ok(Carry::Other(answer)) => {
                session.end().await;
                if !operation.instead(cx, session, &answer).await? {
                    return Err(Failure::refused("not confirmed; nothing was changed"));
                }
            }
            Err(end) => {
                session.end().await;
                return end;
            }
        }
    }
}

/// What becomes of a plan that was shown.
enum Carry<W> {
    /// It is to be carried out.
    Out(Plan<W>),
    /// Something else was answered.
    Other(String),
}

/// The plan where it is to be carried out; else how the command ends without.
async fn to_carry_out<W>(
    cx: &Context,
    session: &Session,
    plan: Result<Plan<W>, Failure>,
) -> Result<Carry<W>, Result<Report, Failure>> {
    let plan = plan.map_err(Err)?;
    if cx.settings.dry_run {
        return Err(Ok(dry_run(&plan)));
    }
    if plan.steps.is_empty() {
        return Err(Ok(nothing_to_do(plan)));
    }
    let phrase = phrase_for(session);
    let asks = !can_consent(cx, plan.risk(), &phrase).map_err(Err)?;
    if asks && cx.console.is_quiet() {
        // Nobody answers a question about a database that is not named.
        cx.console.insist(&format!("target: {}", target_of(session)));
    }
    if plan.asks_later {
        if asks {
            cx.console.insist_rendered(&render::human::screen(&plan, &cx.console));
        }
        return Ok(Carry::Out(plan));
    }
    match consent(cx, &phrase, &plan).await.map_err(Err)? {
        None => Ok(Carry::Out(plan)),
        Some(answer) => Ok(Carry::Other(answer)),
    }
}

/// Inspects with patience: to read a table's defaults and indexes takes a lock on it, which whoever
/// changes or rewrites the table does not give.
async fn look<O: Operation>(
    cx: &Context,
    session: &Session,
    operation: &O,
) -> Result<O::State, Failure> {
    let tables = operation.waits_for();
    let asks = operation.access() == Access::Check;
    // What lasts longer is no short transaction.
    let most = cx.settings.max_wait.min(if asks { Duration::from_secs(1) } else { Duration::MAX });
    let patience =
        Patience::new(session, &cx.console, &cx.interrupt, tables, most).wanting(Wanted::Reading);
    let tried = patience.exercise(async |attempt| operation.inspect(cx, session, attempt).await);
    match tried.await {
        Err(mut failure) if asks && failure.kind == Kind::Busy => {
            failure.message = "it would have to wait for a lock".into();
            failure.hints.retain(|hint| !hint.starts_with("to wait longer"));
            Err(failure)
        }
        tried => tried.map(|tried| tried.value),
    }
}

/// Connects as every command does: asks for the password where that is wanted, says the target line,
/// and compares `--confirm`.
///
/// # Errors
/// No connection, a version that is not supported, another database than the one that was confirmed.
pub async fn connect(cx: &Context, target: &mut Option<Target>) -> Result<Session, Failure> {
    let mut endpoint = cx.endpoint.clone()?;
    if endpoint.needs_password_prompt() {
        if !cx.console.is_interactive() {
            return Err(Failure::usage(
                "-W asks for a password, and there is no terminal to ask on",
            )
            .hint("put it in the passfile (~/.pgpass), or in PGPASSWORD"));
        }
        let question = format!("Password for {endpoint}");
        endpoint.set_password(asked(cx, move |console| console.ask_password(&question)).await?);
    }
    for warning in &endpoint.warnings {
        cx.console.say(&format!("warning: {warning}"));
    }
    let session = Session::open(&endpoint, &cx.settings, &cx.interrupt).await?;
    let seen = target_of(&session);
    announce(cx, &session, &seen);
    *target = Some(seen);
    session.facts.check_version()?;
    if let Consent::Confirm(phrase) = &cx.settings.consent {
        check_phrase(phrase, &phrase_for(&session))?;
    }
    Ok(session)
}

/// The target line, before anything else.
fn announce(cx: &Context, session: &Session, target: &Target) {
    cx.console.say(&format!("target: {target}"));
    let remote = !session.is_local;
    match session.transport {
        Transport::Plain if remote => cx.console.say(
            "warning: the connection is not encrypted: password and rows travel in clear \
             (sslmode=verify-full)",
        ),
        Transport::Encrypted if remote => cx.console.say(
            "warning: the server's certificate is not verified: anybody in between could read along \
             (sslmode=verify-full with sslrootcert)",
        ),
        _ => {}
    }
}

fn target_of(session: &Session) -> Target {
    let Facts { database, user, server_version, system_identifier, standby, .. } = &session.facts;
    Target {
        host: session.host.clone(),
        port: session.port,
        database: database.clone(),
        user: user.clone(),
        server_version: server_version.clone(),
        system_identifier: system_identifier.clone(),
        role: if *standby { "standby" } else { "primary" },
        encrypted: matches!(session.transport, Transport::Encrypted | Transport::Verified),
    }
}

fn dry_run<W>(plan: &Plan<W>) -> Report {
    let outcome = if plan.steps.is_empty() { Outcome::NothingToDo } else { Outcome::Planned };
    let mut report = Report::new(outcome);
    report.body.clone_from(&plan.screen);
    report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Planned, None)).collect();
    for step in &plan.steps {
        if let Some(sql) = &step.sql {
            report.appendix.push(Block::Heading(format!("SQL of {}", step.title)));
            report.appendix.push(Block::Code(sql.clone()));
        }
    }
    report.findings.clone_from(&plan.findings);
    report.data = plan.data.clone();
    report.next.clone_from(&plan.next);
    report
}

fn nothing_to_do<W>(plan: Plan<W>) -> Report {
    let mut report = Report::new(Outcome::NothingToDo);
    report.body = plan.screen;
    report.findings = plan.findings;
    report.data = plan.data;
    report.next = plan.next;
    report
}
