//! What there is to see before anything is taken back.

use std::time::{Duration, Instant};

use super::beside::{self, Lost};
use super::parts::{PARTS, Part, name};
use crate::db::identifiers::literal;
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;
use crate::migrations::survey::Survey;

/// Everything a plan of the way back needs.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// As for the way up.
    pub survey: Survey,
    /// What would be set aside, by version.
    pub keeps: Vec<Keep>,
    /// How long it took to read all of that once.
    pub reading: Duration,
    /// What stands beside the rows, and does not return with them.
    pub beside: Vec<Lost>,
    /// What others hung on it.
    pub dependents: Vec<Dependent>,
    /// The owner of the schema to keep it in; none: it is not there yet.
    pub kept_by: Option<String>,
    /// There is no schema yet to keep it in, and nobody here may make one.
    pub homeless: bool,
    /// Who is connected beside us.
    pub clients: Vec<Client>,
}

/// What would be set aside of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The version that brought it.
    pub version: i32,
    /// `public.audit_log`, `public.token_lending.version`
    pub what: String,
    /// Rows, or values that differ from the default.
    pub rows: u64,
    /// What its copy takes on disk, about.
    pub bytes: u64,
}

/// Something of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// `view`, `index`, ...
    pub what: String,
    /// Its name.
    pub subject: String,
    /// What takes it away.
    pub remedy: String,
}

/// Sessions of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// As it calls itself.
    pub application: String,
    /// The role.
    pub user: String,
    /// The client's address, or `local`.
    pub host: String,
    /// How many.
    pub sessions: String,
}

const WHAT: &str = "cannot look at what would be set aside";

/// In the owner's role.
const HOMELESS: &str = "SELECT (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'markenmate_quarantine'), \
     to_regnamespace('markenmate_quarantine') IS NULL \
     AND NOT has_database_privilege(session_user, current_database(), 'CREATE') \
     AND NOT has_database_privilege(current_user, current_database(), 'CREATE')";

/// Looks, changes nothing. `target` is the version to go back to.
///
/// # Errors
/// The server's.
pub async fn look(session: &Session, target: i32) -> Result<Look, Failure> {
    let survey = Survey::full(session).await?;
    let mut look = Look { survey, ..Look::default() };
    let leaving = leaving(&look.survey, target);
    let rights = &look.survey.rights;
    // Who may not do it is refused with what is missing, and need not read it all.
    if leaving.is_empty() || !rights.missing(&look.survey.database).is_empty() {
        return Ok(look);
    }
    let role = match look.survey.rights.becomes_table_owner {
        true => format!(
            "SET LOCAL ROLE {};",
            crate::db::identifiers::quoted(look.survey.rights.owner())
        ),
        false => String::new(),
    };
    let sql = format!(
        "{role}{};{};{HOMELESS};{}",
        dependents_sql(&leaving),
        beside::sql(&leaving).unwrap_or_default(),
        include_str!("sessions.sql")
    );
    let sets = session.once(Mode::Read, WHAT, &sql).await?;
    let [dependents, beside, homeless, clients] = sets.as_slice() else {
        return Err(Failure::unexpected(WHAT));
    };
    look.beside = beside::from_rows(beside);
    look.kept_by = homeless.first().and_then(|row| row.get(0)).map(str::to_owned);
    look.homeless = homeless.first().and_then(|row| row.get(1)) == Some("t");
    look.dependents = dependents_from(dependents);
    let text =
        |row: &tokio_postgres::SimpleQueryRow, name| row.get(name).unwrap_or_default().to_owned();
    look.clients = clients
        .iter()
        .map(|row| Client {
            application: text(row, "application"),
            user: text(row, "username"),
            host: text(row, "host"),
            sessions: text(row, "sessions"),
        })
        .collect();
    let counts: Vec<_> = leaving.iter().map(|part| part.count()).collect();
    let began = Instant::now();
    let sql = format!("{role}SET LOCAL statement_timeout = 0;{}", counts.join(";"));
    let sets = session.once(Mode::Read, WHAT, &sql).await?;
    look.reading = began.elapsed();
    let number =
        |set: &Rows, at| set.first().and_then(|row| row.get(at)?.parse().ok()).unwrap_or_default();
    let keep = |(part, set): (&&Part, &Rows)| Keep {
        version: part.version,
        what: part.name(),
        rows: number(set, 0),
        bytes: number(set, 1),
    };
    look.keeps = leaving.iter().zip(&sets).map(keep).collect();
    Ok(look)
}

/// What others hung on what leaves, seen in the open transaction.
pub(super) async fn dependents(
    session: &Session,
    parts: &[&Part],
) -> Result<Vec<Dependent>, Failure> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let sets = session.run(WHAT, &dependents_sql(parts)).await?;
    Ok(sets.last().map(dependents_from).unwrap_or_default())
}

/// Whether anything was built on what leaves since the copy was taken: what is new says so itself, and nobody
/// waits for all of it to be looked at again.
pub(super) async fn has_new_dependents(
    session: &Session,
    parts: &[&Part],
) -> Result<bool, Failure> {
    if parts.is_empty() {
        return Ok(false);
    }
    let tables: Vec<_> = parts.iter().map(|part| literal(part.table)).collect();
    let sql = include_str!("new_dependents.sql").replace("%TABLES%", &tables.join(", "));
    let sets = session.run(WHAT, &sql).await?;
    let first = sets.last().and_then(|rows| rows.first());
    Ok(first.and_then(|row| row.get(0)) == Some("t"))
}

/// Parts of versions above `target` that are in the database.
fn leaving(survey: &Survey, target: i32) -> Vec<&'static Part> {
    let there = |part: &&Part| {
        let tables = survey.catalogue.as_ref().map(|catalogue| &catalogue.tables);
        let table = tables.and_then(|tables| tables.get(part.table));
        table.is_some_and(|t| part.column().is_none_or(|column| t.columns.contains_key(column)))
    };
    PARTS.iter().filter(|part| part.version > target).filter(there).collect()
}

/// The statement that refuses, in SQL alone, where others hang on what a version brought. None: it brought
/// nothing that others could hang on.
pub fn refuse_dependents_sql(version: i32) -> Option<String> {
    let parts: Vec<&Part> = PARTS.iter().filter(|part| part.version == version).collect();
    let sql =
        include_str!("refuse_dependents.sql").replace("%DEPENDENTS%", &dependents_sql(&parts));
    (!parts.is_empty()).then_some(sql)
}

fn dependents_sql(parts: &[&Part]) -> String {
    let row = |part: &&Part| {
        let column = part.column().map_or_else(|| "NULL".into(), literal);
        format!("({}, {column}::text)", literal(part.table))
    };
    let rows: Vec<_> = parts.iter().map(row).collect();
    include_str!("dependents.sql").replace("%LEAVING%", &rows.join(", "))
}

fn dependents_from(rows: &Rows) -> Vec<Dependent> {
    let text =
        |row: &tokio_postgres::SimpleQueryRow, name| row.get(name).unwrap_or_default().to_owned();
    let dependent = |row| Dependent {
        what: text(row, "what"),
        subject: text(row, "subject"),
        remedy: text(row, "remedy"),
    };
    rows.iter().map(dependent).collect()
}

/// What a run has set aside, with its rows: the tables do not change any more.
///
/// # Errors
/// The server's.
pub async fn kept(
    session: &Session,
    run_id: &str,
    role: &str,
) -> Result<Vec<(String, String, u64)>, Failure> {
    const WHAT: &str = "cannot count what was set aside";
    let sql = format!(
        "{role}SELECT name, of_table, of_column FROM markenmate.set_aside WHERE run_id = {} ORDER BY name",
        literal(run_id)
    );
    let sets = session.once(Mode::Read, WHAT, &sql).await?;
    let tables: Vec<_> = sets
        .iter()
        .flatten()
        .filter_map(|row| {
            Some((row.get("name")?.to_owned(), name(row.get("of_table")?, row.get("of_column"))))
        })
        .collect();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let counts = tables.iter().map(|(table, _)| {
        format!(
            "SELECT count(*) FROM markenmate_quarantine.{}",
            crate::db::identifiers::quoted(table)
        )
    });
    let sql =
        format!("{role}SET LOCAL statement_timeout = 0;{}", counts.collect::<Vec<_>>().join(";"));
    let sets = session.once(Mode::Read, WHAT, &sql).await?;
    let rows =
        |set: &Rows| set.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or_default();
    Ok(tables.into_iter().zip(&sets).map(|((table, what), set)| (what, table, rows(set))).collect())
}
