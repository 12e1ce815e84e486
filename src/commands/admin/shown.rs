//! What is shown of a user before the question, and said afterwards.

use serde_json::{Value, json};

use crate::admin::change::Done;
use crate::admin::people::Person;
use crate::admin::record;
use crate::console::escape;
use crate::context::Context;
use crate::db::locks::Holder;
use crate::failure::Failure;
use crate::report::{Block, Finding, Severity};
use crate::tools::shell;

/// What stands on the screen beside the user.
#[derive(Debug)]
pub struct Around<'a> {
    /// On whose word.
    pub by: String,
    /// The database guards its admins itself.
    pub guarded: bool,
    /// Who may have to be waited for.
    pub holders: &'a [Holder],
    /// What takes it back.
    pub way_back: String,
}

/// The target card.
pub fn card(person: &Person, around: Around<'_>) -> Vec<Block> {
    let Around { by, guarded, holders, way_back } = around;
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let guards = match guarded {
        true => "the database guards its admins itself",
        false => "nobody but the app guards its admins: markenmate migrate",
    };
    // Who only reads holds nobody up.
    let holders = holders.iter().filter(|holder| holder.mode != "AccessShare");
    let holders: Vec<_> = holders.map(ToString::to_string).collect();
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
        fact("sessions", sessions(person.sessions, person.expired)),
        fact("password", password.into()),
        fact("master admin", if person.is_master { "yes" } else { "no" }.into()),
        fact("banned", if person.banned { "yes" } else { "no" }.into()),
        fact("on the word of", by),
        fact("state", guards.into()),
        fact("locks held now", if holders.is_empty() { "none".into() } else { holders.join("; ") }),
        fact("the way back", way_back),
    ])]
}

/// How many are alive, and how many are over and still there.
pub fn sessions(alive: impl std::fmt::Display, expired: impl std::fmt::Display) -> String {
    format!("{alive} alive, {expired} expired")
}

/// What cannot be shown as it is cannot be pasted either.
pub const NO_LINE: &str = "by hand: a word of the command cannot be shown";

/// The command that takes something back, to be pasted; none where a word of it cannot be shown as it
/// is. `by` is as which admin, if any.
pub fn undo(
    cx: &Context,
    command: &str,
    by: Option<&str>,
    break_glass: bool,
    id: &str,
) -> Option<String> {
    // A value that begins like a flag.
    let flag = |name: &str, value: &str| {
        let between = if value.starts_with('-') { "=" } else { " " };
        format!(" {name}{between}{}", shell::word(value))
    };
    let by = by.map(|by| flag("--as", by)).unwrap_or_default();
    let broken = if break_glass { " --break-glass" } else { "" };
    let reason = cx.settings.reason.as_deref().map(|reason| flag("--reason", reason));
    let reason = reason.unwrap_or_default();
    let line = format!("markenmate {command}{by}{broken}{reason} -- {}", shell::word(id));
    (escape(&line) == line).then_some(line)
}

/// A failure that says whom it was about.
pub fn about(mut failure: Failure, person: &Person) -> Failure {
    let data = failure.data.get_or_insert_with(|| json!({}));
    data["user"] = user(person);
    failure
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
        found.push(record::no_ledger());
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
