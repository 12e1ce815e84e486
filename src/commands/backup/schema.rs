//! Where the schema stands in the very moment that is dumped.

use serde_json::json;

use crate::backup::manifest::Schema;
use crate::db::catalogue::Catalogue;
use crate::db::ledger::{self, Ledger};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::standing;

const WHAT: &str = "cannot read the history";

/// Reads the history in the open transaction, and leaves no lock behind.
pub(super) async fn schema(session: &Session, catalogue: &Catalogue) -> Result<Schema, Failure> {
    let sets = session.run(WHAT, &session.facts_sql()).await?;
    let facts = session.facts_from(&sets, WHAT).await?;
    let ledger = match ledger::sql(&facts) {
        None if facts.has_history => None,
        None => Some(Ledger::default()),
        Some(sql) => {
            // One that is damaged must not end the moment.
            session.run(WHAT, "SAVEPOINT history").await?;
            let read = session.run(WHAT, &sql).await;
            session.run(WHAT, "ROLLBACK TO SAVEPOINT history").await?;
            read.ok().map(|sets| Ledger::from_rows(&sets))
        }
    };
    Ok(match ledger {
        None => Schema { state: "unknown".into(), migrations: json!([]) },
        Some(ledger) => {
            let state = json!(standing::standing(&ledger, catalogue).state);
            Schema {
                state: state.as_str().unwrap_or_default().to_owned(),
                migrations: json!(standing::migrations(&ledger)),
            }
        }
    })
}
