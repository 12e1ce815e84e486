//! What `status` says of cleanup: what is scheduled, as far as it can be seen from here, and when it last ran.

use std::path::Path;

use serde_json::{Value, json};
use tokio_postgres::SimpleQueryRow;

use crate::checks::registry::{self as checks, Source};
use crate::cleanup::schedule::names::Names;
use crate::cleanup::schedule::pg_cron::{self, Here, There};
use crate::cleanup::schedule::standing::{self, LastRun, Scheduled, last_runs_sql};
use crate::context::Context;
use crate::db::foreign;
use crate::db::identifiers::quoted;
use crate::db::session::{Mode, Rows, Session};
use crate::failure::{Failure, Kind};
use crate::migrations::registry;
use crate::migrations::survey::Survey;
use crate::report::Finding;

use super::cleanup::schedule::{beside, twice};

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    jobs: Vec<Scheduled>,
    last: Vec<LastRun>,
    /// Why the server's own jobs could not be seen.
    unseen: Option<String>,
    /// Exports that did not end.
    unfinished: Vec<Finding>,
}

/// Looks; none where the tool's own schema keeps no runs yet.
///
/// # Errors
/// The server does not answer.
pub(super) async fn look(
    cx: &Context,
    session: &Session,
    survey: &Survey,
) -> Result<Option<Schedule>, Failure> {
    if !survey.histories.own.iter().any(|row| row.number() == Some(registry::CLEANUP)) {
        return Ok(None);
    }
    let names = Names::of(session.endpoint.database());
    let place = &session.endpoint.keepable.place;
    let mut seen = Schedule {
        jobs: standing::on_machine(Path::new("/"), &names, place),
        last: last_runs(session, survey).await?,
        unseen: None,
        unfinished: unfinished(session, survey).await?,
    };
    match in_server(cx, session, &seen.last).await {
        Ok(jobs) => seen.jobs.extend(jobs),
        Err(failure) if failure.kind == Kind::Interrupted => return Err(failure),
        Err(failure) => seen.unseen = Some(failure.to_string()),
    }
    Ok(Some(seen))
}

/// How each job last ran.
async fn last_runs(session: &Session, survey: &Survey) -> Result<Vec<LastRun>, Failure> {
    let rows = rows(session, survey, &last_runs_sql()).await?;
    Ok(rows.iter().map(LastRun::from_row).collect())
}

/// Exports that ended in the middle, as `verify` tells them.
async fn unfinished(session: &Session, survey: &Survey) -> Result<Vec<Finding>, Failure> {
    let Ok(check) = checks::find("export-unfinished") else { return Ok(Vec::new()) };
    let Source::Sql(sql) = check.source else { return Ok(Vec::new()) };
    let text = |row: &SimpleQueryRow, name| row.get(name).unwrap_or_default().to_owned();
    let finding =
        |row| check.finding(text(row, "subject"), text(row, "detail"), Some(text(row, "remedy")));
    Ok(rows(session, survey, sql).await?.iter().map(finding).collect())
}

/// Who may not read them sees none.
async fn rows(session: &Session, survey: &Survey, sql: &str) -> Result<Rows, Failure> {
    let role = match survey.rights.becomes_table_owner {
        true => format!("SET LOCAL ROLE {};", quoted(survey.rights.owner())),
        false => String::new(),
    };
    let sql = format!("{role}{};{sql}", foreign::plain());
    match session.once(Mode::Read, "cannot read the runs of cleanup", &sql).await {
        Ok(mut sets) => Ok(sets.pop().unwrap_or_default()),
        // Whether it is gone is another check's to say: undefined_table, insufficient_privilege.
        Err(failure) if matches!(failure.sqlstate.as_deref(), Some("42P01" | "42501")) => {
            Ok(Vec::new())
        }
        Err(failure) => Err(failure),
    }
}

/// Another database is connected to only where pg_cron is known to be there.
async fn in_server(
    cx: &Context,
    session: &Session,
    last: &[LastRun],
) -> Result<Vec<Scheduled>, Failure> {
    let here = Here::look(session).await?;
    let runs = last.iter().any(|run| run.run_id == "pg_cron");
    let database = here.cron_database(&session.facts.database);
    let Some(database) = database.filter(|_| here.knows_pg_cron() || runs) else {
        return Ok(Vec::new());
    };
    let other = beside(cx, session, &database).await?;
    let cron = other.as_ref().unwrap_or(session);
    if !There::look(cron).await?.is_some_and(|there| there.may_look()) {
        return Ok(Vec::new());
    }
    let names = Names::of(&session.facts.database);
    Ok(standing::in_server(&names, &pg_cron::jobs(cron, &names).await?))
}

impl Schedule {
    /// What is to be looked at.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let twice = twice(&self.jobs, Path::new("/"));
        self.unfinished.iter().cloned().chain(twice).collect()
    }

    /// Lines for people.
    pub(super) fn facts(&self) -> Vec<(String, String)> {
        let job = |job: &Scheduled| {
            let state = if job.state == "installed" { "" } else { job.state };
            let last = job.last.as_ref().filter(|last| !last.starts_with("succeeded"));
            let last = last.map(|last| format!("its last run {last}")).unwrap_or_default();
            let more: Vec<_> = [job.via, &state.replace('_', " "), &last]
                .into_iter()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .collect();
            format!("{} {} ({})", job.job, job.rhythm, more.join(", "))
        };
        let jobs: Vec<_> = self.jobs.iter().map(job).collect();
        let scheduled = match (jobs.is_empty(), &self.unseen) {
            (true, None) => "nothing, as far as can be seen from here".to_owned(),
            (true, Some(why)) => format!("not known: {why}"),
            (false, _) => jobs.join("; "),
        };
        let mut facts = vec![("cleanup scheduled".to_owned(), scheduled)];
        facts.extend(self.last.iter().map(|run| {
            let rows = match run.archived {
                0 => format!("{} row(s) deleted", run.deleted),
                archived => format!("{archived} row(s) archived"),
            };
            let at = run.finished_at.as_ref().unwrap_or(&run.last_at);
            (format!("last cleanup of {}", run.job), format!("{at}: {rows}; {}", run.words()))
        }));
        facts
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        json!({ "jobs": self.jobs, "last_runs": self.last, "unseen": self.unseen })
    }
}
