//! What keeps the guide's archive from being taken over, and the SQL that mends it.

use super::columns::{self, Column};
use super::ground::{Due, Ground, Table};
use super::jobs::GUIDE_ARCHIVE;
use crate::db::identifiers::{identifier, literal, quoted};
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

const WHAT: &str = "cannot look at what was made by following the guide";
const NAME: &str = "public.audit_log_archive";

/// One thing that stands against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Which.
    pub what: String,
    /// What mends it: SQL, for the most part.
    pub remedy: String,
}

impl Obstacle {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// The job that takes it over; else all that stands against that: nothing else is to wait for it.
///
/// # Errors
/// The server's.
pub async fn due(
    session: &Session,
    ground: &Ground,
    role: &str,
) -> Result<Result<Due, Vec<Obstacle>>, Failure> {
    let due = match ground.due(session, role, &GUIDE_ARCHIVE, ground.now, None).await {
        Ok(due) => due,
        Err(failure) if failure.kind == Kind::Refused => {
            let seen = of_its_shape(ground);
            return Ok(Err(if seen.is_empty() { vec![told(&failure)] } else { seen }));
        }
        Err(failure) => return Err(failure),
    };
    let stands = in_the_way(session, role, &due).await?;
    Ok(if stands.is_empty() { Ok(due) } else { Err(stands) })
}

/// Whatever reads it, points to it, or lacks what our archive demands.
async fn in_the_way(session: &Session, role: &str, due: &Due) -> Result<Vec<Obstacle>, Failure> {
    let names: Vec<_> = due.fit.needed.iter().map(|name| quoted(name)).collect();
    let lacking: Vec<_> = names.iter().map(|name| format!("t.{name} IS NULL")).collect();
    let lacking = if lacking.is_empty() { "false".to_owned() } else { lacking.join(" OR ") };
    let sql = include_str!("in_the_way.sql")
        .replace("%NEEDED_NAMES%", &literal(&names.join(", ")))
        .replace("%NEEDED_TEXT%", &literal(&lacking))
        .replace("%NEEDED%", &lacking);
    let sets = session.once(Mode::Read, WHAT, &format!("{role}{sql}")).await?;
    let obstacle = |row: &tokio_postgres::SimpleQueryRow| {
        Some(Obstacle::new(row.get("what")?, row.get("remedy")?))
    };
    Ok(sets.iter().flatten().filter_map(obstacle).collect())
}

/// What the catalogue says against it.
fn of_its_shape(ground: &Ground) -> Vec<Obstacle> {
    let Some(guide) = ground.table("public", GUIDE_ARCHIVE.table) else { return Vec::new() };
    let mut seen = Vec::new();
    if guide.kind == "p" {
        seen.push(Obstacle::new(
            "it is partitioned",
            format!(
                "BEGIN; CREATE TABLE public.audit_log_archive_plain AS TABLE {NAME}; DROP TABLE {NAME}; \
                 ALTER TABLE public.audit_log_archive_plain RENAME TO audit_log_archive; COMMIT;"
            ),
        ));
    }
    if let Some(log) = ground.table("public", "audit_log").filter(|_| !guide.is_ours) {
        seen.push(Obstacle::new(
            format!("it belongs to {}", guide.owner),
            format!(
                "ALTER TABLE {NAME} OWNER TO {};  -- as {}, or as a superuser",
                identifier(&log.owner),
                guide.owner
            ),
        ));
    }
    if let Some(ours) = ground.table("markenmate", GUIDE_ARCHIVE.table) {
        seen.extend(of_its_columns(guide, ours));
    }
    seen
}

fn of_its_columns(guide: &Table, ours: &Table) -> Vec<Obstacle> {
    // Without a table's column beside it, only a name that is ours does not fit.
    let is_taken = |column: &Column| columns::fit(std::slice::from_ref(column), &[]).is_err();
    let mut seen = Vec::new();
    for column in &guide.columns {
        let Column { name, kind, .. } = column;
        let quoted = quoted(name);
        let kept = ours.columns.iter().find(|kept| kept.name == *name);
        match kept {
            _ if is_taken(column) => seen.push(Obstacle::new(
                format!("it has a column {name}, which our archive uses for something else"),
                format!(
                    "ALTER TABLE {NAME} RENAME COLUMN {quoted} TO {};",
                    self::quoted(&format!("{name}_before"))
                ),
            )),
            Some(kept) if kept.kind != *kind && kept.kind != "text" => seen.push(Obstacle::new(
                format!("{name} is {kind} there, and {} in our archive", kept.kind),
                retyped(&quoted, kind, &kept.kind),
            )),
            _ => {}
        }
    }
    let lacking = |kept: &&Column| {
        kept.needed
            && !is_taken(kept)
            && guide.columns.iter().all(|column| column.name != kept.name)
    };
    for Column { name, kind, .. } in ours.columns.iter().filter(lacking) {
        let column = quoted(name);
        seen.push(Obstacle::new(
            format!("it lacks the column {name}, without which our archive takes no row"),
            filled(&column, kind, guide.columns.iter().any(|column| column.name == "id")),
        ));
    }
    seen
}

/// A time without a zone was cut off in the zone of whoever filled the table: it is not to depend on who mends it.
fn retyped(column: &str, from: &str, to: &str) -> String {
    let (value, note) = match (from, to) {
        ("timestamp without time zone", "timestamp with time zone") => (
            format!("{column} AT TIME ZONE 'UTC'"),
            "  -- or the TimeZone of whoever filled it: its times and those of public.audit_log are to be equal",
        ),
        _ => (format!("{column}::text::{to}"), ""),
    };
    format!("ALTER TABLE {NAME} ALTER COLUMN {column} TYPE {to} USING {value};{note}")
}

/// The column that is lacking, with what the log has of it for rows that stand there as well: they are the same then.
fn filled(column: &str, kind: &str, has_id: bool) -> String {
    let unknown = if kind == "text" { "'unknown'" } else { "…" };
    let known = match has_id {
        true => format!(
            " UPDATE {NAME} g SET {column} = l.{column} FROM public.audit_log l WHERE l.id::text = g.id::text;"
        ),
        false => String::new(),
    };
    format!(
        "ALTER TABLE {NAME} ADD COLUMN {column} {kind};{known} UPDATE {NAME} SET {column} = {unknown} WHERE {column} IS NULL;"
    )
}

fn told(failure: &Failure) -> Obstacle {
    Obstacle::new(failure.to_string(), failure.hints.join("; "))
}

/// Rows of the guide's archive that the application's table has as well stay in both, while that archive stays: else
/// they would be in ours twice once it is taken over. The condition on a row `t` of the application's.
pub fn spared(ground: &Ground) -> Option<String> {
    let guide = ground.table("public", GUIDE_ARCHIVE.table)?;
    let live = ground.table("public", "audit_log")?;
    let has = |name: &str| guide.columns.iter().any(|column| column.name == name);
    let same = match has("id") {
        true => "g.id::text = t.id::text".to_owned(),
        // Whom a row was about may be forgotten by now.
        false => live
            .columns
            .iter()
            .filter(|column| has(&column.name) && column.name != "target_user_id")
            .map(|column| quoted(&column.name))
            .map(|name| format!("g.{name}::text IS NOT DISTINCT FROM t.{name}::text"))
            .collect::<Vec<_>>()
            .join(" AND "),
    };
    let same = Some(same).filter(|same| !same.is_empty())?;
    Some(format!("NOT EXISTS (SELECT FROM {NAME} g WHERE {same})"))
}
