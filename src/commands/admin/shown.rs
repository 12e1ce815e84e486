//! What is shown of a user before the question, and said afterwards.

use serde_json::{Value, json};

use crate::admin::change::Done;
use crate::admin::people::Person;
use crate::report::{Block, Finding, Severity};

/// The target card.
pub fn card(person: &Person, by: String) -> Vec<Block> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let password = match person.credentials.as_slice() {
        [] | [None] => "none: cannot sign in with one",
        _ if person.must_change_password => "to be changed at the next sign-in",
        _ => "yes",
    };
    vec![Block::Facts(vec![
        fact("email", person.email.clone()),
        fact("id", person.id.clone()),
        fact("name", person.name.clone()),
        fact("role", person.role.clone()),
        fact("since", person.created_at.clone().unwrap_or_else(|| "?".into())),
        fact("sessions alive", person.sessions.to_string()),
        fact("password", password.into()),
        fact("master admin", if person.is_master { "yes" } else { "no" }.into()),
        fact("banned", if person.banned { "yes" } else { "no" }.into()),
        fact("on the word of", by),
    ])]
}

/// A user as JSON has them.
pub fn user(person: &Person) -> Value {
    json!({ "id": person.id, "email": person.email, "name": person.name })
}

/// What was found beside the change.
pub fn findings(done: &Done) -> Vec<Finding> {
    let note = |id: &str, title: &str, detail: &str, remedy: &str| Finding {
        id: id.into(),
        severity: Severity::Info,
        title: title.into(),
        subject: String::new(),
        detail: detail.into(),
        remedy: remedy.into(),
    };
    let mut found = Vec::new();
    if done.ledger.is_none() {
        found.push(note(
            "ledger",
            "The operator ledger",
            "it has no row of this: it is not in this database yet, or this role may not write it",
            "markenmate migrate",
        ));
    }
    if done.recovered {
        found.push(note(
            "commit",
            "COMMIT",
            "its answer was lost; the database shows that it took place",
            "markenmate admin list",
        ));
    }
    found
}
