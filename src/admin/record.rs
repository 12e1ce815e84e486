//! What is written beside a change: audit rows as the app writes them, a step-up token, and the
//! ledger's row.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::context::Context;
use crate::db::identifiers::literal;
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::report::{Finding, Severity};

/// An audit row of the app's.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The user who acts; where nobody of the app does, the one it is about: the app's table has no
    /// place for anybody else.
    pub actor: &'a str,
    /// The app's word for it, or ours.
    pub action: &'a str,
    /// The user it is about.
    pub target: Option<&'a str>,
    /// JSON text.
    pub metadata: Option<&'a str>,
}

/// The app's words, and three of our own.
pub mod action {
    /// A role was changed: `{"oldRole","newRole"}`.
    pub const CHANGE_ROLE: &str = "CHANGE_ROLE";
    /// A password was right.
    pub const RIGHT: &str = "STEP_UP_AUTH_SUCCESS";
    /// A password was wrong.
    pub const WRONG: &str = "STEP_UP_AUTH_FAILURE";
    /// Something was not done: `{"reason"}`.
    pub const REFUSED: &str = "AUTHZ_FAILURE_TOGGLE_ADMIN_ROLE";
    /// `{"oldMasterId","newMasterId"}`
    pub const SET_MASTER: &str = "SET_MASTER_ADMIN";
    /// `{"count"}`
    pub const REVOKE: &str = "REVOKE_SESSIONS";
    /// `{"command","reason"}`
    pub const BREAK_GLASS: &str = "BREAK_GLASS";
}

/// Metadata of [`action::CHANGE_ROLE`]. Keys stand in the app's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleChanged<'a> {
    /// Before.
    pub old_role: &'a str,
    /// After.
    pub new_role: &'a str,
}

/// Metadata of [`action::REFUSED`].
#[derive(Serialize)]
pub struct Refused<'a> {
    /// Why.
    pub reason: &'a str,
}

/// Metadata of [`action::SET_MASTER`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MasterSet<'a> {
    /// Who had it.
    pub old_master_id: Option<&'a str>,
    /// Who has it.
    pub new_master_id: &'a str,
}

/// Metadata of [`action::REVOKE`].
#[derive(Serialize)]
pub struct Revoked {
    /// How many sessions.
    pub count: usize,
}

/// Metadata of [`action::BREAK_GLASS`].
#[derive(Serialize)]
pub struct GlassBroken<'a> {
    /// As typed: `admin demote`.
    pub command: &'a str,
    /// `--reason`
    pub reason: &'a str,
}

/// JSON text.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::unexpected("cannot write JSON").because(error))
}

/// Writes an audit row.
pub async fn audit(cx: &Context, session: &Session, entry: Entry<'_>) -> Result<(), Failure> {
    insert(cx, session, entry, "").await.map(drop)
}

/// Writes an audit row that may be taken back by what is returned.
pub async fn charge(cx: &Context, session: &Session, entry: Entry<'_>) -> Result<String, Failure> {
    let rows = insert(cx, session, entry, "RETURNING id::text").await?;
    let id = rows.first().map(|row| row.try_get(0)).transpose();
    let id = id.map_err(|error| Failure::unexpected(AUDIT).because(error))?;
    id.ok_or_else(|| Failure::unexpected(AUDIT).because("the row was not kept"))
}

/// Metadata of an attempt that was not judged: it is under way, or was ended on its way.
pub const NOT_JUDGED: &str = r#"{"judged":false}"#;

/// Makes a charge that was wrong look as the app's own, where the audit log lets it.
pub async fn judged(session: &Session, charge: &str) -> Result<(), Failure> {
    let sql = "UPDATE public.audit_log SET metadata = NULL WHERE id = $1::text::bigint RETURNING id::text";
    session.run(AUDIT, "SAVEPOINT judged").await?;
    match session.query(AUDIT, sql, &[(&charge, Type::TEXT)]).await {
        Err(failure) if failure.sqlstate.is_some() && failure.kind == Kind::Unexpected => {
            tracing::info!(%failure, "the attempt stays as it was written");
            session.run(AUDIT, "ROLLBACK TO SAVEPOINT judged").await.map(drop)
        }
        result => result.map(drop),
    }
}

/// The statement that takes a charge back.
pub fn discharge(charge: &str) -> String {
    format!(
        "DELETE FROM public.audit_log WHERE id = {}::bigint AND action = '{}'",
        literal(charge),
        action::WRONG
    )
}

const AUDIT: &str = "cannot write the audit log";

async fn insert(
    cx: &Context,
    session: &Session,
    entry: Entry<'_>,
    tail: &str,
) -> Result<Vec<Row>, Failure> {
    let agent = concat!("markenmate/", env!("CARGO_PKG_VERSION"));
    session
        .query(
            AUDIT,
            &format!("INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id) \
             VALUES ($1, $2, $3, $4, 'unknown', $5, $6) {tail}"),
            &[
                (&entry.actor, Type::TEXT),
                (&entry.action, Type::TEXT),
                (&entry.target, Type::TEXT),
                (&entry.metadata, Type::TEXT),
                (&agent, Type::TEXT),
                (&cx.run_id.to_string(), Type::TEXT),
            ],
        )
        .await
        .map_err(|mut failure| {
            // A user in it was deleted a moment ago: looked at anew, there is nobody.
            if failure.sqlstate.as_deref() == Some("23503") {
                failure.kind = Kind::Busy;
            }
            failure
        })
}

/// That the ledger knows nothing of it.
pub fn no_ledger() -> Finding {
    Finding {
        id: "ledger".into(),
        severity: Severity::Info,
        title: "The operator ledger".into(),
        subject: String::new(),
        detail:
            "it has no row of this: it is not in this database yet, or this role may not write it"
                .into(),
        remedy: "markenmate migrate".into(),
    }
}

/// Makes a step-up token for a user, as the app does: 32 random bytes, ten minutes, one use.
pub async fn issue_token(session: &Session, user_id: &str) -> Result<String, Failure> {
    const WHAT: &str = "cannot make a step-up token";
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::unexpected(WHAT).because(error))?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let sql = "INSERT INTO public.step_up_token (token, user_id, expires_at, used) \
               VALUES ($1, $2, now() + interval '10 minutes', false)";
    session.query(WHAT, sql, &[(&token, Type::TEXT), (&user_id, Type::TEXT)]).await?;
    Ok(token)
}

/// Spends it. False: it was not there to be spent, or not this user's, or its time was over. Where V3
/// keeps the tokens, that is the server's own 40001, which is nothing to try again here.
pub async fn spend_token(session: &Session, user_id: &str, token: &str) -> Result<bool, Failure> {
    let sql = "UPDATE public.step_up_token SET used = true \
                WHERE token = $1 AND user_id = $2 AND NOT used AND expires_at >= now() RETURNING id";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&token, Type::TEXT), (&user_id, Type::TEXT)];
    match session.query("cannot spend the step-up token", sql, &parameters).await {
        Ok(rows) => Ok(rows.len() == 1),
        Err(failure) if failure.sqlstate.as_deref() == Some("40001") => Ok(false),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_the_apps_keys_in_the_apps_order() {
        let role = json(&RoleChanged { old_role: "user", new_role: "admin" }).unwrap();
        assert_eq!(role, r#"{"oldRole":"user","newRole":"admin"}"#);
        let refused = json(&Refused { reason: "a \"b\"" }).unwrap();
        assert_eq!(refused, r#"{"reason":"a \"b\""}"#);
        let master = json(&MasterSet { old_master_id: None, new_master_id: "x" }).unwrap();
        assert_eq!(master, r#"{"oldMasterId":null,"newMasterId":"x"}"#);
    }
}
