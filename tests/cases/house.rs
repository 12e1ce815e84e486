//! The house's rules, held by reading its `use` lines: imports point down, and each outside crate
//! has one door.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the roof down; a room may use its own floor's rooms only as said below.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["lib", "commands", "cli"],
    &["pipeline", "render"],
    &["migrations", "backup", "checks", "cleanup", "admin", "stats"],
    &["context"],
    &["db", "tools", "sandbox"],
    &["plan", "report", "failure", "settings", "console"],
];

/// Who else on the same floor may be used: `pipeline` shows what `render` draws, `util` prints what
/// follows from the whole command line.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("lib", "commands"),
    ("lib", "cli"),
    ("cli", "commands"),
    ("commands", "cli"),
    ("pipeline", "render"),
    ("db", "tools"),
    ("sandbox", "tools"),
    ("plan", "report"),
    ("report", "failure"),
    ("failure", "report"),
    ("settings", "failure"),
    ("console", "failure"),
];

/// Text that only these rooms may hold.
const DOORS: &[(&str, &[&str])] = &[
    ("std::env::", &["settings", "main"]),
    ("rpassword", &["console"]),
    ("dialoguer", &["console"]),
    ("comfy_table", &["render"]),
    ("clap", &["cli", "commands"]),
    ("clap_complete", &["commands"]),
    ("clap_mangen", &["commands"]),
    ("ureq", &["tools"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 20);
    found
}

fn room(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn floor(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("room {room} has no floor: add it to FLOORS"))
}

/// The code without its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn imports_point_down() {
    for (path, text) in sources() {
        let from = room(&path);
        for part in code(&text).split("crate::").skip(1) {
            let to: String =
                part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if to.is_empty() || to == from {
                continue;
            }
            let allowed =
                floor(&to) > floor(&from) || NEIGHBOURS.contains(&(from.as_str(), to.as_str()));
            assert!(allowed, "{}: {from} must not use {to}", path.display());
        }
    }
}

#[test]
fn each_outside_crate_has_one_door() {
    for (path, text) in sources() {
        for (word, rooms) in DOORS {
            let used = code(&text).lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//")
                    && line
                        .contains(&format!("{word}{}", if word.ends_with(':') { "" } else { "::" }))
            });
            let from = room(&path);
            assert!(
                !used || rooms.contains(&from.as_str()),
                "{}: {word} in {from}",
                path.display()
            );
        }
    }
}

#[test]
fn files_stay_small() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 400, "{}: {lines} lines are two rooms in one", path.display());
    }
}

/// A custom type in a result makes the client prepare a look-up by name, which a transaction
/// pooler breaks: what is selected is built in, enums are cast.
#[test]
fn queries_with_parameters_return_no_enum() {
    for (path, text) in sources() {
        for query in code(&text).split(".query(").skip(1) {
            let sql = query.split(']').next().unwrap();
            let selects_enum =
                ["role,", "level,", "acceptance_status,"].iter().any(|c| sql.contains(c));
            assert!(!selects_enum || sql.contains("::text"), "{}: {sql}", path.display());
        }
    }
}
