//! The guide's three ways back side by side: what each loses, how long it takes, what it locks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::backup::dump::megabytes;
use crate::backup::gate::Fallback;
use crate::backup::proof::Backup;
use crate::commands::forecast as foreseen;
use crate::context::Context;
use crate::failure::Failure;
use crate::migrations::back::decide::Back;
use crate::migrations::back::look::Look;
use crate::migrations::forecast::Forecast;
use crate::migrations::registry;
use crate::migrations::standing::standing;
use crate::plan::{Risk, Step};
use crate::report::Block;

/// Bytes of a database that a restore gets through in a second, with two jobs: docs/performance.md.
const RESTORED_PER_SECOND: u64 = 90_000_000;

/// The steps, the very ones that run.
pub(super) fn steps(back: &Back, target: i32) -> Vec<Step> {
    let copies = back.entries().filter_map(|entry| {
        let sql = entry.aside?;
        Some(Step {
            sql: Some(sql.to_owned()),
            detail: Some(
                "read under no lock but a reader's; what changes meanwhile is picked up later"
                    .into(),
            ),
            ..Step::new(
                format!("copy-{}", entry.version),
                format!("copy what the columns of {entry} hold"),
                Risk::Additive,
            )
        })
    });
    let tables: Vec<String> = back
        .locked_tables()
        .iter()
        .map(|t| format!("public.{}", crate::db::identifiers::identifier(t)))
        .collect();
    let downs = back.entries().filter_map(|entry| {
        Some(Step {
            sql: Some(entry.down?.to_owned()),
            detail: Some(format!("ACCESS EXCLUSIVE on {}", tables.join(", "))),
            ..Step::new(
                format!("revert-{}", entry.version),
                format!("take back {entry}"),
                Risk::Destructive,
            )
        })
    });
    let entry = registry::find(target).map(ToString::to_string).unwrap_or_default();
    let compare = Step::new(
        "compare",
        format!("compare schema public with {entry}, before COMMIT"),
        Risk::ReadOnly,
    );
    copies.chain(downs).chain([compare]).collect()
}

/// One way.
pub(super) struct Way {
    command: String,
    lost: String,
    takes: String,
    locks: String,
}

/// All three.
pub(super) fn all(look: &Look, back: &Back, fallback: &Fallback, forecast: &Forecast) -> Vec<Way> {
    let kept: u64 = look.keeps.iter().map(|keep| keep.rows).sum();
    let beside = match look.beside.len() {
        0 => String::new(),
        n => format!("; what others put beside them does not return by itself: {n} below"),
    };
    let to = Way {
        command: "markenmate rollback".into(),
        lost: format!(
            "no row: {kept} rows and values are set aside, and return with migrate{beside}"
        ),
        takes: format!(
            "about {}, of which the tables are locked for {}",
            rounded(look.reading * 2 + forecast.locked),
            foreseen::time(forecast.locked)
        ),
        locks: format!("everybody, from {} tables", back.locked_tables().len()),
    };
    let restore = match &fallback.newest_chosen {
        None => Way {
            command: "markenmate rollback --restore".into(),
            lost: "not possible: there is no verified backup of this database".into(),
            takes: String::new(),
            locks: String::new(),
        },
        Some(path) => {
            let of =
                fallback.newest.as_ref().filter(|(newest, _)| newest == path).map(|(_, of)| *of);
            let backup = Backup::open(path).ok();
            let of = backup.as_ref().map(|b| b.manifest.snapshot_at).or(of);
            let seconds = backup.map(|b| b.manifest.database.bytes / RESTORED_PER_SECOND + 1);
            Way {
                command: "markenmate rollback --restore".into(),
                lost: of.map_or_else(String::new, |of| {
                    format!(
                        "whatever was written since {}; what is live now is kept beside",
                        of.format("%Y-%m-%d %H:%M:%S UTC")
                    )
                }),
                takes: seconds.map_or_else(String::new, |s| {
                    format!(
                        "about {}, and a safety backup before",
                        humantime::format_duration(Duration::from_secs(s))
                    )
                }),
                locks: "nobody while it restores; then every session is ended for the swap".into(),
            }
        }
    };
    let code = Way {
        command: "git revert HEAD".into(),
        lost: "nothing: it is the application's code, and belongs to either way".into(),
        takes: "a build and a start".into(),
        locks: "nothing; the guide's drizzle-kit drop removes a migration's file, and no table"
            .into(),
    };
    vec![to, restore, code]
}

/// The same, for scripts.
pub(super) fn ways(look: &Look, back: &Back, fallback: &Fallback, forecast: &Forecast) -> Value {
    if back.revert.is_empty() {
        return json!([]);
    }
    let way = |way: Way| json!({ "command": way.command, "lost": way.lost, "takes": way.takes, "locks": way.locks });
    all(look, back, fallback, forecast).into_iter().map(way).collect()
}

/// Whole tables were counted: what the server guesses of them, or does not know, is not shown beside that.
pub(super) fn counted(forecast: &mut Forecast, look: &Look) {
    for line in &mut forecast.lines {
        let table = line.effect.table.to_string();
        let keep = look.keeps.iter().find(|keep| keep.what == table);
        if let (Some(keep), Some(size)) = (keep, &mut line.size) {
            size.rows = Some(keep.rows);
        }
    }
}

/// What would be set aside, for scripts.
pub(super) fn keeps(look: &Look) -> Value {
    look.keeps
        .iter()
        .map(|keep| json!({ "what": keep.what, "rows": keep.rows, "bytes": keep.bytes }))
        .collect()
}

/// The one screen before the question.
pub(super) fn screen(
    cx: &Context,
    look: &Look,
    back: &Back,
    target: i32,
    fallback: &Fallback,
    forecast: &Forecast,
) -> Vec<Block> {
    let survey = &look.survey;
    let state = survey.catalogue.as_ref().map(|c| standing(&survey.histories, c).state.explained());
    let holders: Vec<String> = survey.holders.iter().map(ToString::to_string).collect();
    let holders = if holders.is_empty() { "nobody".to_owned() } else { holders.join("; ") };
    let entry = registry::find(target).map(ToString::to_string).unwrap_or_default();
    let backup = match &fallback.newest {
        Some((path, of)) => {
            let age = (cx.started_at - *of).num_seconds().unsigned_abs();
            format!(
                "{} old: {}",
                humantime::format_duration(Duration::from_secs(age)),
                path.display()
            )
        }
        None => "none of this database; none is needed".into(),
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let facts = vec![
        fact("database", survey.database.clone()),
        fact("state", state.unwrap_or_default().to_owned()),
        fact("goes back to", entry),
        fact("last verified backup", backup),
        fact(
            "room for the copy",
            format!("about {} on the server's disk", megabytes(copied(look))),
        ),
        fact("locks held now", holders),
        fact(
            "longest lock expected",
            format!(
                "{}; queues {} at a time for up to {}",
                foreseen::time(forecast.locked),
                humantime::format_duration(cx.settings.lock_timeout),
                humantime::format_duration(cx.settings.max_wait)
            ),
        ),
        fact(
            "the way forward again",
            "markenmate migrate: all rows that are set aside return".into(),
        ),
    ];
    let keeps = look.keeps.iter().map(|keep| vec![keep.what.clone(), keep.rows.to_string()]);
    let set_aside = Block::Table {
        columns: ["set aside in markenmate_quarantine", "rows"].map(str::to_owned).to_vec(),
        rows: keeps.collect(),
    };
    let mut screen = vec![Block::Facts(facts)];
    if !look.keeps.is_empty() {
        screen.push(set_aside);
    }
    screen.extend(foreseen::shown(forecast));
    for way in all(look, back, fallback, forecast) {
        screen.push(Block::Heading(way.command));
        let facts = [("loses", way.lost), ("takes", way.takes), ("keeps out", way.locks)];
        let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
        screen.push(Block::Facts(facts.map(|(name, value)| fact(name, value)).collect()));
    }
    screen
}

/// What the copy takes, in bytes; tables move.
fn copied(look: &Look) -> u64 {
    look.keeps.iter().map(|keep| keep.bytes).sum()
}

/// The copy is written twice: into its table, and into the log before that.
pub(super) fn refuse_full(look: &Look, free_bytes: Option<u64>) -> Result<(), Failure> {
    let needed = copied(look).saturating_mul(2);
    match free_bytes.filter(|free| *free < needed) {
        None => Ok(()),
        Some(free) => {
            Err(Failure::refused("the copy does not fit on the disk: nothing was changed")
                .because(format!(
                    "it takes about {}; {} are free",
                    megabytes(needed),
                    megabytes(free)
                ))
                .hint(
                    "make room where the server keeps its files, then run the same command again",
                ))
        }
    }
}

/// To a tenth of a second, and never nothing.
fn rounded(time: Duration) -> humantime::FormattedDuration {
    let tenths = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).div_ceil(100).max(1);
    humantime::format_duration(Duration::from_millis(tenths * 100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::back::look::Keep;

    #[test]
    fn a_copy_that_does_not_fit_is_refused() {
        let keep = |bytes| Keep { version: 2, what: "w".into(), rows: 1, bytes };
        let look = Look { keeps: vec![keep(1_000_000), keep(500_000)], ..Look::default() };
        let refused = refuse_full(&look, Some(2_999_999)).unwrap_err();
        assert!(refused.to_string().contains("about 3.0 MB; 3.0 MB are free"), "{refused}");
        assert!(refuse_full(&look, Some(3_000_000)).is_ok() && refuse_full(&look, None).is_ok());
    }
}
