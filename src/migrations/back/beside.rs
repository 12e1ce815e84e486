//! What others put beside the rows of what leaves. It returns by nobody but them: it is said before, written into
//! the ledger, and said again once the rows are back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parts::{Kind, PARTS, Part};
use super::returning::Kept;
use crate::db::beside::{self, Beside, Known};
use crate::db::foreign;
use crate::db::identifiers::literal;
use crate::db::session::{Mode, Rows, Session};
use crate::failure::Failure;
use crate::migrations::registry;
use crate::report::{Finding, Severity};

/// What does not return by itself, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// `public.audit_log`, `index i on public.audit_log`
    pub subject: String,
    /// The statement that puts it there again.
    pub statement: String,
}

const WHAT: &str = "cannot look at what stands beside the rows";

/// The statement that reads it, of these parts. None: they are none.
pub(super) fn sql(parts: &[&Part]) -> Option<String> {
    let leaving: Vec<_> = parts.iter().map(|part| (part.table, part.column())).collect();
    (!leaving.is_empty()).then(|| beside::sql(&leaving, &known(), true))
}

/// The same for whoever pastes the way back of a version: said as a notice each. None: it takes nothing away.
pub fn notices_sql(version: i32) -> Option<String> {
    let parts: Vec<&Part> = PARTS.iter().filter(|part| part.version == version).collect();
    sql(&parts).map(|sql| include_str!("notices.sql").replace("%BESIDE%", &sql))
}

/// What the tables that leave have by their contract.
fn known() -> Vec<Known<'static>> {
    let tables = PARTS.iter().filter(|part| matches!(part.kind, Kind::Table { .. }));
    let shapes = tables.flat_map(|part| {
        let contracts = registry::APP.iter().map(registry::Entry::contract);
        contracts.filter_map(|contract| Some((part.table, contract.tables.get(part.table)?)))
    });
    let mut known: Vec<Known<'static>> = shapes
        .flat_map(|(table, shape)| {
            let of = |kind| move |name: &'static String| (kind, table, name.as_str());
            let columns = shape.columns.keys().map(of("column"));
            let constraints = shape.constraints.keys().map(of("constraint"));
            columns.chain(constraints).chain(shape.indexes.keys().map(of("index")))
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// Reads the answer to [`sql`].
pub(super) fn from_rows(rows: &Rows) -> Vec<Lost> {
    let lost = |Beside { subject, statement, .. }| Lost { subject, statement };
    beside::from_rows(rows).into_iter().map(lost).collect()
}

/// In the open transaction.
pub(super) async fn read(session: &Session, parts: &[&Part]) -> Result<Vec<Lost>, Failure> {
    let Some(sql) = sql(parts) else { return Ok(Vec::new()) };
    let sets = session.run(WHAT, &sql).await?;
    Ok(sets.last().map(from_rows).unwrap_or_default())
}

/// What stood beside the rows that have `returned`, as the ledger knows from the rollbacks that took them, and does
/// not stand there now. `role` makes us the owner, if it takes one.
///
/// # Errors
/// The server's.
pub async fn missing(
    session: &Session,
    role: &str,
    returned: &[Kept],
) -> Result<Vec<Lost>, Failure> {
    let parts: Vec<&Part> = PARTS.iter().collect();
    let (Some(now), false) = (sql(&parts), returned.is_empty()) else { return Ok(Vec::new()) };
    let names: Vec<_> = returned.iter().map(|kept| literal(&kept.name)).collect();
    let written = include_str!("beside_ledger.sql").replace("%NAMES%", &names.join(", "));
    let sql = format!("{role}{};{written};{now}", foreign::plain());
    let sets = session.once(Mode::Read, WHAT, &sql).await?;
    let [.., written, now] = sets.as_slice() else { return Err(Failure::unexpected(WHAT)) };
    let now = from_rows(now);
    let mut missing: Vec<Lost> = Vec::new();
    for lost in written.iter().filter_map(|row| told(row.get(0)?)).flatten() {
        if !now.iter().chain(&missing).any(|other| other.statement == lost.statement) {
            missing.push(lost);
        }
    }
    Ok(missing)
}

/// Of a row's detail.
fn told(detail: &str) -> Option<Vec<Lost>> {
    let detail: Value = serde_json::from_str(detail).ok()?;
    serde_json::from_value(detail.get("beside")?.clone()).ok()
}

/// One warning each. `when`: what is to be done first.
pub fn findings(lost: &[Lost], title: &str, when: &str) -> Vec<Finding> {
    let finding = |lost: &Lost| Finding {
        id: "beside".into(),
        severity: Severity::Warning,
        title: title.into(),
        subject: lost.subject.clone(),
        detail: format!("only rows and values return; {when}"),
        remedy: lost.statement.clone(),
    };
    lost.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_contract_has_is_known() {
        let known = known();
        for one in [
            ("column", "audit_log", "correlation_id"),
            ("constraint", "audit_log", "audit_log_user_id_user_id_fk"),
            ("index", "step_up_token", "step_up_token_token_unique"),
        ] {
            assert!(known.contains(&one), "{known:?}");
        }
        assert!(!known.iter().any(|(_, table, _)| *table == "token_lending"));
    }

    #[test]
    fn a_row_of_an_older_build_says_nothing() {
        assert_eq!(told(r#"{ "reverted": [3, 2] }"#), None);
        let told = told(r#"{ "beside": [{ "subject": "s", "statement": "GRANT;" }] }"#).unwrap();
        assert_eq!(told[0].statement, "GRANT;");
    }
}
