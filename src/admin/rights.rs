//! Whether the role may write what a change writes: known before anybody is asked for anything.

use crate::db::identifiers::identifier;
use crate::db::ledger;
use crate::db::session::Session;
use crate::failure::Failure;

use super::change::Change;
use super::standing::Standing;

/// Why this role can change nothing; none where it can. Asked in the open transaction, in the role that it
/// writes in.
///
/// # Errors
/// The server's.
pub async fn barred(
    session: &Session,
    standing: &Standing,
    change: &Change,
) -> Result<Option<Failure>, Failure> {
    if standing.acts_as_owner() {
        return Ok(None);
    }
    let revokes = if *change == Change::RevokeSessions { "'DELETE'" } else { "NULL" };
    let sql = include_str!("rights.sql").replace("%REVOKES%", revokes);
    let what = "cannot look at what this role may do";
    let sets = session.run(what, &format!("{sql}{}", ledger::THERE)).await?;
    let value = |n: usize| sets.get(n)?.first()?.get(0).map(str::to_owned);
    let lacks = value(0).map(|lacks| format!("it lacks {lacks}"));
    let ledger = value(1).filter(|said| said == "denied").map(|_| NO_LEDGER.to_owned());
    let why: Vec<_> = lacks.into_iter().chain(ledger).collect();
    if why.is_empty() {
        return Ok(None);
    }
    let role = identifier(&session.facts.user);
    let failure = Failure::refused(format!("role {role} may not change the app's users"));
    let owner = identifier(standing.owner.as_deref().unwrap_or_default());
    let failure = why.iter().fold(failure, Failure::because);
    Ok(Some(failure.hint(format!("connect as {owner}, who owns the tables, or as a member of it"))))
}

const NO_LEDGER: &str =
    "it may not write the operator ledger, which belongs to the owner of the app's tables";
