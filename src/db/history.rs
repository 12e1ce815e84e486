//! The two histories: of the app's schema, which rollback may shorten, and of the tool's own.

use serde_json::Value;
use tokio_postgres::SimpleQueryRow;

use super::facts::Facts;
use super::foreign::plain;
use super::identifiers::quoted;
use super::session::Rows;

/// The app's history.
pub const APP: &str = "refinery_schema_history";
/// The tool's own.
pub const OWN: &str = "refinery_own_history";

/// refinery's columns.
const COLUMNS: [&str; 4] = ["version", "name", "applied_on", "checksum"];

/// One row of a history, as it stands there: rows edited by hand are data, not a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The version as text.
    pub version: String,
    /// The migration's name.
    pub name: String,
    /// When, by the clock of whoever applied it, in RFC 3339.
    pub applied_on: String,
    /// refinery's checksum as text.
    pub checksum: String,
    /// Found in the database, not applied.
    pub adopted: bool,
    /// The run that wrote it.
    pub run_id: Option<String>,
    /// The role that wrote it.
    pub applied_by: Option<String>,
    /// Columns of refinery's that the table has not.
    pub lacks: Vec<&'static str>,
}

impl Entry {
    /// Reads a row as JSON, whatever has become of its columns.
    fn read(json: &str) -> Self {
        let row: Value = serde_json::from_str(json).unwrap_or_default();
        let text = |name| match row.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Self {
            version: text("version").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            applied_on: text("applied_on").unwrap_or_default(),
            checksum: text("checksum").unwrap_or_default(),
            adopted: text("adopted").as_deref() == Some("true"),
            run_id: text("run_id"),
            applied_by: text("applied_by"),
            lacks: COLUMNS.into_iter().filter(|name| row.get(name).is_none()).collect(),
        }
    }

    /// The version, if it is one.
    pub fn number(&self) -> Option<i32> {
        self.version.parse().ok()
    }
}

/// Both histories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histories {
    /// Of the app's schema.
    pub app: Vec<Entry>,
    /// Of the tool's own.
    pub own: Vec<Entry>,
}

/// The statements that read both, for a batch: two sets of rows. None: there are none, or they may
/// not be read.
pub fn sql(facts: &Facts) -> Option<String> {
    let one = |table| format!("{};", include_str!("history.sql").replace("%TABLE%", table));
    reading(facts, format!("{};{}", plain(), one(APP) + &one(OWN)))
}

/// The same by refinery's four columns only: half the cost on a new backend, and an error
/// (42703) where somebody changed the table.
pub fn brief_sql(facts: &Facts) -> Option<String> {
    let one =
        |table| format!("SELECT version, name, applied_on, checksum FROM markenmate.{table};");
    let look = if facts.is_history_owner { String::new() } else { format!("{};", plain()) };
    reading(facts, look + &one(APP) + &one(OWN))
}

/// As whoever may read the histories.
pub(super) fn reading(facts: &Facts, sql: String) -> Option<String> {
    match (&facts.history_owner, facts.reads_history) {
        _ if !facts.has_history => None,
        (_, true) => Some(sql),
        // A member who does not inherit may still become the owner.
        (Some(owner), false) => Some(format!(
            "SET LOCAL ROLE {};{sql}SET LOCAL ROLE {};",
            quoted(owner),
            quoted(&facts.user)
        )),
        (None, false) => None,
    }
}

impl Histories {
    /// Reads the answers to [`brief_sql`].
    pub fn from_brief_rows(sets: &[Rows]) -> Self {
        let entry = |row: &SimpleQueryRow| {
            let text = |at| row.get(at).unwrap_or_default().to_owned();
            Entry {
                version: text(0),
                name: text(1),
                applied_on: text(2),
                checksum: text(3),
                ..Entry::default()
            }
        };
        let entries = |at: usize| in_order(sets.get(at).into_iter().flatten().map(entry).collect());
        Self { app: entries(0), own: entries(1) }
    }

    /// Reads the answers to [`sql`].
    pub fn from_rows(sets: &[Rows]) -> Self {
        Self {
            app: sets.first().map(entries).unwrap_or_default(),
            own: sets.get(1).map(entries).unwrap_or_default(),
        }
    }
}

fn entries(rows: &Rows) -> Vec<Entry> {
    in_order(rows.iter().map(|row| Entry::read(row.get("entry").unwrap_or_default())).collect())
}

/// In the order of versions, so far as they are numbers.
fn in_order(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|a, b| (a.version.len(), &a.version).cmp(&(b.version.len(), &b.version)));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_edited_by_hand_are_read() {
        let entry = Entry::read(r#"{"version": "two", "adopted": true, "checksum": 7, "x": []}"#);
        assert_eq!((entry.version.as_str(), entry.checksum.as_str()), ("two", "7"));
        assert!(entry.adopted && entry.name.is_empty() && entry.run_id.is_none());
        assert_eq!(entry.lacks, ["name", "applied_on"]);
        let nothing = Entry { lacks: COLUMNS.into(), ..Entry::default() };
        assert_eq!(Entry::read("nothing of the kind"), nothing);
    }
}
