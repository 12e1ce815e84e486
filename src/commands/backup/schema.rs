//! Where the schema stands in the very moment that is dumped.

use serde_json::json;

use crate::backup::manifest::Schema;
use crate::db::catalogue::Catalogue;
use crate::db::history::{self, Histories};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::standing;

const WHAT: &str = "cannot read the history";

/// Reads the history in the open transaction, and leaves no lock behind.
pub(super) async fn schema(session: &Session, catalogue: &Catalogue) -> Result<Schema, Failure> {
    let sets = session.run(WHAT, &session.facts_sql()).await?;
    let facts = session.facts_from(&sets, WHAT).await?;
    let histories = match history::sql(&facts) {
        None if facts.has_history => None,
        None => Some(Histories::default()),
        Some(sql) => {
            // One that is damaged must not end the moment.
            session.run(WHAT, "SAVEPOINT history").await?;
            let read = session.run(WHAT, &sql).await;
            session.run(WHAT, "ROLLBACK TO SAVEPOINT history").await?;
            read.ok().map(|sets| Histories::from_rows(&sets))
        }
    };
    Ok(match histories {
        None => Schema { state: "unknown".into(), migrations: json!([]) },
        Some(histories) => {
            let state = json!(standing::standing(&histories, catalogue).state);
            Schema {
                state: state.as_str().unwrap_or_default().to_owned(),
                migrations: json!(standing::migrations(&histories)),
            }
        }
    })
}
