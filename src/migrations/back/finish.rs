//! The last transaction of what returns: what could not is counted, archived or left where it is.

use serde::Serialize;

use super::batch::places;
use super::forgotten;
use super::returning::Kept;
use crate::context::Context;
use crate::db::foreign::{self, Scope};
use crate::db::identifiers::{literal, quoted};
use crate::db::ledger::{self, Record};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Returned {
    /// `public.audit_log`, `public.token_lending.version`
    pub what: String,
    /// Rows or values that returned, those of earlier runs included.
    pub rows: u64,
    /// Rows that got another id: the application had used theirs.
    pub renumbered: u64,
    /// Audit rows of users who are gone: they are in `markenmate.audit_log_archive`.
    pub archived: u64,
    /// Rows that returned without the user whom they were about, who is gone.
    pub forgotten: u64,
    /// Where it is kept who that was; none: nobody was forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten_as: Option<String>,
    /// What could not return: of users or rows that are gone, or where something else stands now.
    pub left: u64,
    /// Where it stays; none: nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_as: Option<String>,
    /// Why it could not, where that is known one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Returned {
    /// Nothing of it.
    pub(super) fn none(kept: &Kept) -> Self {
        Self { what: kept.what(), ..Self::default() }
    }
}

/// The columns of the archive that are the application's.
const ARCHIVED: [&str; 9] = [
    "id",
    "user_id",
    "action",
    "target_user_id",
    "metadata",
    "ip_address",
    "user_agent",
    "correlation_id",
    "created_at",
];

const WHAT: &str = "cannot bring back what was set aside";

/// Whether what is kept has the columns that the archive takes, and no others, which would be lost.
pub(super) fn is_archived(kept: &Kept, columns: &[String]) -> bool {
    kept.table == "audit_log"
        && kept.column.is_none()
        && columns.len() == ARCHIVED.len()
        && columns.iter().all(|column| ARCHIVED.contains(&column.as_str()))
}

/// Ends it, in a transaction whose last statement is the ledger's row.
///
/// # Errors
/// The server's; nothing was changed then.
pub(super) async fn finish(
    cx: &Context,
    session: &Session,
    role: &str,
    kept: &Kept,
    archives: bool,
) -> Result<Returned, Failure> {
    let is_flag = kept.column.as_deref() == Some("is_master_admin");
    let forgotten_as = format!("markenmate_quarantine.{}", forgotten::name(kept));
    let count =
        format!("SELECT count(*) FROM markenmate_quarantine.{}", quoted(&forgotten::name(kept)));
    let finish = include_str!("finish.sql")
        .replace("%ARCHIVE%", if archives { include_str!("archive.sql") } else { "" })
        .replace("%WHY%", if is_flag { include_str!("why.sql") } else { "" })
        .replace("%COUNT_FORGOTTEN%", &literal(&count));
    let sql = format!(
        "{role}{};{};{}",
        foreign::refuse(Scope::Returning),
        foreign::plain(),
        places(&finish, kept)
    );
    let sets = session.begin_within(Mode::Write, session.timeouts(), WHAT, &sql).await?;
    let row = sets.last().and_then(|rows| rows.first()).ok_or_else(|| Failure::unexpected(WHAT))?;
    let number = |name| row.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    let (left, forgotten) = (number("left"), number("forgotten"));
    let returned = Returned {
        what: kept.what(),
        rows: number("returned"),
        renumbered: number("renumbered"),
        archived: number("archived"),
        forgotten,
        forgotten_as: (forgotten > 0).then_some(forgotten_as),
        left,
        kept_as: (left > 0).then(|| format!("markenmate_quarantine.{}", kept.name)),
        why: row.get("why").filter(|_| left > 0).map(str::to_owned),
    };
    let detail = serde_json::to_string(&returned)
        .map_err(|error| Failure::unexpected(WHAT).because(error))?;
    let record = Record {
        command: "migrate",
        subject: Some(&returned.what),
        outcome: "done",
        detail: Some(&detail),
    };
    ledger::append(session, &cx.origin(), &record).await?;
    session.commit(WHAT, "COMMIT").await?;
    Ok(returned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_archive_has_no_place_for_is_not_archived() {
        let kept = Kept {
            name: "audit_log_1".into(),
            version: 2,
            table: "audit_log".into(),
            column: None,
            returning: true,
            lost: false,
        };
        let mut columns: Vec<String> = ARCHIVED.iter().map(|name| (*name).to_owned()).collect();
        assert!(is_archived(&kept, &columns));
        columns.push("session_id".into());
        assert!(!is_archived(&kept, &columns));
        let tokens = Kept { table: "step_up_token".into(), ..kept };
        assert!(!is_archived(&tokens, &columns[..9]));
    }
}
