//! The connection service file (manual, section 34.17).

use std::path::{Path, PathBuf};

use super::Env;
use super::conninfo::{Values, store};
use crate::failure::Failure;

/// Where Debian's libpq looks where `PGSYSCONFDIR` says nothing.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// Finds the section `name`; `named_file` is what `servicefile` or `PGSERVICEFILE` says.
///
/// # Errors
/// Usage (exit 2) where no file has the section, or it cannot be read.
pub(super) fn find(
    name: &str,
    named_file: Option<&str>,
    env: &Env,
) -> Result<(PathBuf, Values), Failure> {
    let own = match named_file {
        Some(file) => Some(PathBuf::from(file)),
        None => env.home().map(|home| home.join(".pg_service.conf")),
    };
    let folder = env.var("PGSYSCONFDIR").unwrap_or(SYSTEM_FOLDER);
    let system = Path::new(folder).join("pg_service.conf");
    let mut looked = Vec::new();
    for (path, must_exist) in
        own.map(|path| (path, named_file.is_some())).into_iter().chain([(system, false)])
    {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let found = section(&text, name)
                    .map_err(|f| f.attempting(format!("cannot read {}", path.display())))?;
                if let Some(values) = found {
                    return Ok((path, values));
                }
            }
            Err(error) if must_exist || error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::usage(format!("cannot read {}", path.display()))
                    .because(error)
                    .hint("PGSERVICEFILE names the service file"));
            }
            Err(_) => {}
        }
        looked.push(path.display().to_string());
    }
    Err(Failure::usage(format!("service `{name}` is not defined"))
        .because(format!("looked in {}", looked.join(", ")))
        .hint(format!("add a section [{name}] there, or unset PGSERVICE")))
}

/// The pairs of the first section of that name. Values are not quoted in this file.
fn section(text: &str, name: &str) -> Result<Option<Values>, Failure> {
    let mut found: Option<Values> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if header.strip_suffix(']') == Some(name) {
                found = Some(Values::new());
            }
            continue;
        }
        let Some(values) = &mut found else { continue };
        let at = |failure: Failure| failure.attempting(format!("line {}", number + 1));
        let Some((keyword, value)) = line.split_once('=') else {
            return Err(at(Failure::usage("not `keyword=value`")));
        };
        if keyword == "service" {
            return Err(at(Failure::usage("a service cannot name another service")));
        }
        // The first one counts in this file, unlike in a connection string.
        if !values.contains_key(keyword) {
            store(values, keyword, value.to_owned()).map_err(at)?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# c\n[a]\nhost=ha\nport = 1\n\n[b]\nhost=hb\nhost=hc\npassword=p w'\n[b]\nuser=u\n";

    #[test]
    fn the_first_section_of_the_name_counts() {
        let values = section(FILE, "b").expect("readable").expect("there");
        assert_eq!(values["host"], "hb");
        assert_eq!(values["password"], "p w'");
        assert!(!values.contains_key("user"));
        assert!(section(FILE, "c").expect("readable").is_none());
    }

    #[test]
    fn a_bad_line_is_named_by_number() {
        let failure = section(FILE, "a").expect_err("`port ` is no keyword");
        assert!(failure.to_string().starts_with("line 4"), "{failure}");
    }

    #[test]
    fn an_undefined_service_says_where_was_looked() {
        let env = Env::of([("HOME", "/nowhere"), ("PGSYSCONFDIR", "/nowhere/etc")]);
        let failure = find("x", None, &env).expect_err("nothing there");
        assert!(failure.to_string().contains("/nowhere/.pg_service.conf"), "{failure}");
        assert_eq!(failure.kind.exit_code(), 2);
    }
}
