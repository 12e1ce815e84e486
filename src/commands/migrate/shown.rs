//! What `migrate` shows of its plan: steps, the one screen, the question, the way back.

use std::time::Duration;

use serde_json::json;

use crate::backup::gate::Fallback;
use crate::commands::forecast as foreseen;
use crate::context::Context;
use crate::db::lock_mode::LockMode;
use crate::db::session::Session;
use crate::migrations::back::beside;
use crate::migrations::back::finish::Returned;
use crate::migrations::back::returning::Kept;
use crate::migrations::effects::{self, Effect};
use crate::migrations::forecast::Forecast;
use crate::migrations::plan::Work;
use crate::migrations::registry;
use crate::migrations::standing::standing;
use crate::migrations::statements::statements;
use crate::migrations::survey::Survey;
use crate::plan::{Risk, Step};
use crate::report::{Block, Finding, Next, Report, Severity};

use super::left;

/// What an operator agrees to.
pub(super) fn question(survey: &Survey, work: &Work, unbacked: bool) -> String {
    match (work.builds_everything(), &survey.rights.others) {
        (false, _) if unbacked => {
            format!("Migrate {:?} now? b: back up now, y: go on without, n: quit", survey.database)
        }
        (false, _) => format!("Migrate {:?} now?", survey.database),
        (true, None) => format!("Build the whole application into {:?}?", survey.database),
        (true, Some(others)) => {
            format!("Build the whole application into {:?}, beside {others}?", survey.database)
        }
    }
}

/// The plan's steps, the very ones that run.
pub(super) fn steps(work: &Work, beside_others: bool) -> Vec<Step> {
    // Building the application into somebody else's database is not what a yes was meant for.
    let risk = if beside_others { Risk::Destructive } else { Risk::Additive };
    let own = work.own_entries().map(|entry| Step {
        sql: Some(entry.sql.to_owned()),
        detail: Some(entry.title.into()),
        ..Step::new(
            format!("own-{}", entry.version),
            format!("set up schema markenmate: V{} {}", entry.version, entry.name),
            Risk::Additive,
        )
    });
    let adopt = work.adopted().map(|entry| Step {
        detail: Some("its objects are all there: recorded as adopted, none of it is run".into()),
        ..Step::new(format!("adopt-{}", entry.version), format!("adopt {entry}"), Risk::Additive)
    });
    let apply = work.entries().map(|entry| {
        let locks = match entry.version {
            1 => "nothing to lock".to_owned(),
            _ if work.builds_everything() => "in the same transaction: nothing to lock".to_owned(),
            _ => locks_of(&entry.effects()),
        };
        let verb = if entry.version == 1 { "build" } else { "apply" };
        Step {
            sql: Some(entry.sql.to_owned()),
            detail: Some(format!("{}; {locks}", entry.title)),
            ..Step::new(
                format!("apply-{}", entry.version),
                format!("{verb} {entry}"),
                if entry.version == 1 { risk } else { Risk::Additive },
            )
        }
    });
    let returns = work.returns.iter().map(|kept| Step {
        detail: Some(format!(
            "from markenmate_quarantine.{}, in batches, while the application works",
            kept.name
        )),
        ..Step::new(
            format!("return-{}", kept.name),
            format!("bring back {}, set aside by a rollback", kept.what()),
            Risk::Additive,
        )
    });
    own.chain(adopt).chain(apply).chain(returns).collect()
}

/// Which tables of the application a migration locks, in which mode.
fn locks_of(effects: &[Effect]) -> String {
    let mut locks = effects::locks(effects);
    locks.retain(|(table, _)| table.schema == "public");
    let mut modes: Vec<LockMode> = locks.iter().map(|(_, mode)| *mode).collect();
    modes.sort_by(|a, b| b.cmp(a));
    modes.dedup();
    let on = modes.into_iter().map(|mode| {
        let of_mode = locks.iter().filter(|(_, lock)| *lock == mode);
        let tables: Vec<String> = of_mode.map(|(table, _)| table.to_string()).collect();
        format!("{mode} on {}", tables.join(", "))
    });
    let on = on.collect::<Vec<_>>().join("; ");
    let rewritten: Vec<String> =
        effects.iter().filter(|e| e.rewrites).map(|e| e.table.to_string()).collect();
    match rewritten.as_slice() {
        [] => format!("{on}; no table is rewritten"),
        tables => format!("{on}; rewritten: {}", tables.join(", ")),
    }
}

/// The one screen before the question.
pub(super) fn screen(
    cx: &Context,
    survey: &Survey,
    work: &Work,
    fallback: &Fallback,
    forecast: &Forecast,
) -> Vec<Block> {
    let Some(catalogue) = &survey.catalogue else {
        return vec![Block::Text(format!(
            "nothing to do: {} is at version {}, the latest",
            survey.database,
            registry::latest()
        ))];
    };
    let state = standing(&survey.histories, catalogue).state;
    if work.is_empty() {
        return vec![Block::Text(format!("nothing to do: {}", state.explained()))];
    }
    let own = work.own_entries().map(|entry| entry.sql);
    let texts = own.chain(work.entries().map(|entry| entry.sql));
    let statements: usize = texts.map(|sql| statements(sql).len()).sum();
    let lock_timeout = humantime::format_duration(cx.settings.lock_timeout);
    let max_wait = humantime::format_duration(cx.settings.max_wait);
    let waits_for = match forecast.waits_for.as_slice() {
        [] if forecast.lines.is_empty() => "none that matter".to_owned(),
        [] => "none that last".to_owned(),
        [_] => "by one that has to end first, below".to_owned(),
        some => format!("by {} that have to end first, below", some.len()),
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut blocks = vec![Block::Facts(vec![
        fact("database", survey.database.clone()),
        fact("state", state.explained().to_owned()),
        fact("last verified backup", last_backup(cx, survey, fallback)),
        fact("locks held now", waits_for),
        fact("statements", format!("{statements}, in one transaction, as {}", work.owner)),
        fact(
            "longest lock expected",
            if forecast.lines.is_empty() {
                "none on a table in use".into()
            } else if cx.settings.lock_timeout > Duration::from_secs(1) {
                format!(
                    "up to {lock_timeout}: the app waits behind a run that queues; up to {max_wait} in all"
                )
            } else {
                let held = foreseen::time(forecast.locked);
                format!("{held}; queues {lock_timeout} at a time for up to {max_wait}")
            },
        ),
        fact("the way back", undo(work).unwrap_or_else(|| no_undo(work).into())),
    ])];
    blocks.extend(foreseen::shown(forecast));
    blocks
}

fn last_backup(cx: &Context, survey: &Survey, fallback: &Fallback) -> String {
    match &fallback.newest {
        Some((path, of)) => {
            let seconds = (cx.started_at - *of).num_seconds().unsigned_abs();
            let age = humantime::format_duration(Duration::from_secs(seconds));
            format!("{} old: {}", age, path.display())
        }
        None if survey.rights.holds_users => "none of this database".into(),
        None => "none needed: there is nothing to lose".into(),
    }
}

/// What looks at a database of that version.
pub(super) fn verify_at(version: i32) -> String {
    match version < registry::latest() {
        true => format!("markenmate verify --to {version}"),
        false => "markenmate verify".to_owned(),
    }
}

/// The command that undoes the work, where there is one.
pub(super) fn undo(work: &Work) -> Option<String> {
    if work.builds_everything() {
        return None;
    }
    let lowest = work.apply.first()?;
    Some(format!("markenmate rollback --to {}", lowest - 1))
}

/// What there is to say where no command undoes the work.
fn no_undo(work: &Work) -> &'static str {
    if work.builds_everything() {
        "none: these tables are the application; what else is in the database is not touched"
    } else if work.create_schema.is_some() {
        "DROP SCHEMA markenmate CASCADE; the app's tables stay as they are"
    } else {
        "not needed: only rows are added to the history, the app's tables stay as they are"
    }
}

/// What stood beside the rows that have come back, and does not yet.
pub(super) async fn missing(session: &Session, role: &str, returned: &[Kept]) -> Vec<Finding> {
    const TITLE: &str = "Stood there before the rollback, and does not return by itself";
    match beside::missing(session, role, returned).await {
        Ok(missing) => beside::findings(&missing, TITLE, "run it, where it is still wanted"),
        // The rows are back: that is no failure.
        Err(failure) => vec![Finding {
            id: "beside".into(),
            severity: Severity::Warning,
            title: "What stood beside the rows could not be looked up".into(),
            subject: "what a rollback had set aside".into(),
            detail: failure.to_string(),
            remedy: "SELECT detail FROM markenmate.ledger WHERE command = 'rollback';".into(),
        }],
    }
}

/// What came back of what a rollback had set aside.
pub(super) fn returned(report: &mut Report, returned: &[Returned]) {
    if returned.is_empty() {
        return;
    }
    report.data["returned"] = json!(returned);
    // It has gone by now.
    report.findings.retain(|finding| finding.id != "set-aside");
    if returned.iter().any(|one| one.what.ends_with(".is_master_admin") && one.rows > 0) {
        report.next = Some(Next::run("markenmate verify"));
    }
    let rows = returned.iter().map(|one| {
        vec![
            one.what.clone(),
            one.rows.to_string(),
            one.renumbered.to_string(),
            one.archived.to_string(),
            one.left.to_string(),
        ]
    });
    report.body.push(Block::Table {
        columns: ["brought back", "rows", "renumbered", "archived", "left"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    });
    report.findings.extend(returned.iter().flat_map(left::findings));
}
