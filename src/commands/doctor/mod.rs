//! `status` as the doctor: what is looked at where something hints at it, what was found, and the one safe
//! command.

use crate::backup::kept::{self, Kept};
use crate::backup::staging::beside::Beside;
use crate::checks::registry::{self as checks, Source};
use crate::console::escape;
use crate::db::identifiers::{identifier, quoted};
use crate::db::ledger;
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::migrations::mending;
use crate::migrations::registry;
use crate::migrations::standing::State;
use crate::migrations::survey::{History, Survey};
use crate::report::{Finding, Severity};
use crate::tools::shell;

mod advice;
mod masters;
mod planted;

pub(super) use advice::next;
pub(super) use masters::blocking;

/// A database that a restore has left: in nobody's way, and not to stay.
const HALF: &str = "half-restore";
/// A restore that is at work.
const AT_WORK: &str = "restore-at-work";
/// A version was taken back on purpose.
const ROLLED_BACK: &str = "rolled-back";
/// The check whose findings `verify` has as well.
const INDEXES: &str = "indexes-valid";

/// What a further look has shown.
#[derive(Debug, Clone, Default)]
pub struct Further {
    /// What brings the histories to what schema `markenmate` holds.
    pub mends_history: Option<String>,
    /// Indexes that serve nobody, halves of restores.
    pub findings: Vec<Finding>,
}

/// Looks where the survey hints at something; a round trip for each kind of it, or none.
///
/// # Errors
/// The server does not answer.
pub(super) async fn look_further(session: &Session, survey: &Survey) -> Result<Further, Failure> {
    let mut sql = Vec::new();
    if hints_at_history(survey) {
        sql.push(mending::RELATIONS.to_owned());
    }
    let indexes = checks::find(INDEXES).ok().filter(|_| hints_at_indexes(survey));
    if let Some(Source::Sql(text)) = indexes.map(|check| &check.source) {
        sql.push((*text).to_owned());
    }
    if survey.rights.restoring > 0 {
        sql.push(Beside::sql());
    }
    let what = "cannot look further into the database";
    let sets = match sql.is_empty() {
        true => Vec::new(),
        false => session.once(Mode::Read, what, &sql.join(";")).await?,
    };
    let (mut there, mut findings) = (Vec::new(), Vec::new());
    let owners = [survey.rights.database_owner.as_str(), &survey.rights.user];
    for row in sets.iter().flatten() {
        let text = |name| row.try_get(name).ok().flatten().map(str::to_owned);
        if let Some(relation) = text("relation") {
            there.push(relation);
        } else if let (Some(check), Some(subject)) = (indexes, text("subject")) {
            let detail = text("detail").unwrap_or_default();
            findings.push(check.finding(subject, detail, text("remedy")));
        } else if let Some(beside) = Beside::read(row, &survey.database, &owners) {
            findings.push(half(&beside));
        }
    }
    if survey.rights.before_restore > 0 {
        findings.extend(kept_databases(&kept::kept(session).await?));
    }
    let owner = survey.rights.own_schema_owner.as_deref().unwrap_or(&survey.rights.user);
    let recorded = (survey.history == History::Known).then_some(&survey.histories);
    let mends_history =
        hints_at_history(survey).then(|| mending::histories(&there, recorded, owner)).flatten();
    Ok(Further { mends_history, findings })
}

fn hints_at_history(survey: &Survey) -> bool {
    match survey.history {
        History::Denied => false,
        History::Damaged(_) => true,
        History::Known => {
            survey.rights.own_schema_owner.is_some()
                && survey.histories.own.len() < registry::OWN.len()
        }
    }
}

fn hints_at_indexes(survey: &Survey) -> bool {
    let tables = survey.catalogue.iter().flat_map(|catalogue| catalogue.tables.values());
    tables.flat_map(|table| table.indexes.values()).any(|index| !index.valid)
}

/// Nothing else says that they are there, and they take as much room as the live one.
fn kept_databases(all: &[Kept]) -> Option<Finding> {
    let names: Vec<&str> = all.iter().map(|kept| kept.name.as_str()).collect();
    (!names.is_empty()).then(|| Finding {
        id: "kept-database".into(),
        severity: Severity::Info,
        title: "A database that a restore kept is still there".into(),
        subject: names.join(", "),
        detail: format!(
            "it holds what was live until then, and takes {} MB of room",
            all.iter().map(|kept| kept.bytes).sum::<u64>() / 1_000_000
        ),
        remedy: "markenmate cleanup set-aside --dry-run".into(),
    })
}

fn half(beside: &Beside) -> Finding {
    let Beside { name, owner, is_ours, whole_of, at_work } = beside;
    let finding = |id: &str, severity, title: &str, detail: &str, remedy| Finding {
        id: id.into(),
        severity,
        title: title.into(),
        subject: name.clone(),
        detail: detail.into(),
        remedy,
    };
    if *at_work {
        return finding(
            AT_WORK,
            Severity::Info,
            "A restore is at work",
            "is being restored into",
            "wait for it; pg_stat_activity shows it as markenmate".into(),
        );
    }
    let by = if *is_ours { String::new() } else { format!("  -- as {}", identifier(owner)) };
    let drop = format!("DROP DATABASE {} WITH (FORCE);{by}", quoted(name));
    let Some(path) = whole_of else {
        let detail = "a restore, a restore test or a rehearsal on the server was killed while it filled it; the live \
                      database is as it was, and what is in this one is in the backup";
        return finding(HALF, Severity::Warning, "Half of a restore is left", detail, drop);
    };
    let detail = format!(
        "a restore ended before it had its name; it is whole and compared, and the same command goes on with it; \
         whoever does not want that: {drop}"
    );
    let path = match !path.is_empty() && escape(path) == *path {
        true => shell::word(path),
        false => "BACKUP".into(),
    };
    let title = "A restored database waits for its name";
    let remedy = format!("markenmate rollback --restore {path}");
    finding(HALF, Severity::Warning, title, &detail, remedy)
}

/// That versions are not pending because nobody has come to them yet.
///
/// # Errors
/// The server does not answer.
pub(super) async fn rolled_back(
    session: &Session,
    state: State,
    survey: &Survey,
) -> Result<Option<Finding>, Failure> {
    if state != State::Pending || survey.history != History::Known {
        return Ok(None);
    }
    Ok(ledger::taken_back(session).await?.map(|back| Finding {
        id: ROLLED_BACK.into(),
        severity: Severity::Info,
        title: "A version was taken back".into(),
        subject: survey.database.clone(),
        detail: format!(
            "by {} at {} UTC, {}{}",
            back.command,
            back.at,
            back.by,
            back.reason.map(|reason| format!(", because: {reason}")).unwrap_or_default()
        ),
        remedy: "markenmate migrate, once what it was rolled back for is mended".into(),
    }))
}

/// That the histories are not what schema `markenmate` holds.
pub(super) fn history(survey: &Survey, further: &Further) -> Option<Finding> {
    let (detail, remedy) = match (&survey.history, &further.mends_history) {
        (History::Damaged(damage), mends) => {
            let mends = mends.clone().or_else(|| planted::remedy(&damage.said));
            (damage.said.clone(), mends.unwrap_or_else(|| damage.remedy.into()))
        }
        (_, Some(mends)) => (
            "its tables are there, and not recorded: migrate would make them once more, and fail"
                .into(),
            mends.clone(),
        ),
        _ => return None,
    };
    Some(Finding {
        id: "history".into(),
        severity: Severity::Error,
        title: "The migration history is not to be trusted".into(),
        subject: "schema markenmate".into(),
        detail,
        remedy,
    })
}
