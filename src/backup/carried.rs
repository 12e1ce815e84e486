//! What belongs to a database and is in no dump of it: who may connect, and settings.

use crate::db::identifiers::{literal, quoted};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// One grant or setting.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Carried {
    /// Who has what is written down, be it that nobody has anything.
    List,
    Grant {
        role: Option<String>,
        privileges: String,
        option: String,
    },
    Setting {
        role: Option<String>,
        name: String,
        value: String,
    },
}

/// The statements that give the database `to` what the one with this oid has.
///
/// # Errors
/// They cannot be looked at.
pub async fn statements(
    session: &Session,
    oid: u32,
    owner: &str,
    to: &str,
) -> Result<Vec<String>, Failure> {
    let sql = include_str!("carried.sql").replace("%OID%", &oid.to_string());
    let sets = session
        .once(Mode::Read, "cannot see the grants and settings of the database", &sql)
        .await?;
    let carried = sets.iter().flatten().map(|row| {
        let text = |name| row.get(name).unwrap_or_default().to_owned();
        let role = row.get("role").map(str::to_owned);
        match row.get("kind") {
            Some("list") => Carried::List,
            Some("grant") => {
                Carried::Grant { role, privileges: text("name"), option: text("value") }
            }
            _ => Carried::Setting { role, name: text("name"), value: text("value") },
        }
    });
    Ok(as_sql(&carried.collect::<Vec<_>>(), owner, to))
}

/// Pure.
fn as_sql(carried: &[Carried], owner: &str, to: &str) -> Vec<String> {
    let (to, mut sql) = (quoted(to), Vec::new());
    if carried.contains(&Carried::List) {
        sql.push(format!("REVOKE ALL ON DATABASE {to} FROM PUBLIC, {}", quoted(owner)));
    }
    sql.extend(carried.iter().filter_map(|one| match one {
        Carried::List => None,
        Carried::Grant { role, privileges, option } => {
            let role = role.as_deref().map_or_else(|| "PUBLIC".into(), quoted);
            let grant = format!("GRANT {privileges} ON DATABASE {to} TO {role} {option}");
            Some(grant.trim_end().to_owned())
        }
        Carried::Setting { role, name, value } => {
            let whose = match role {
                Some(role) => format!("ROLE {} IN DATABASE {to}", quoted(role)),
                None => format!("DATABASE {to}"),
            };
            Some(format!("ALTER {whose} SET {} TO {}", quoted(name), value_of(name, value)))
        }
    }));
    sql
}

/// Settings that are lists of names, each of which is quoted for itself.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

fn value_of(name: &str, value: &str) -> String {
    if !LISTS.contains(&name) {
        return literal(value);
    }
    let names: Vec<_> = elements(value).iter().map(|name| literal(name)).collect();
    if names.is_empty() { literal("") } else { names.join(", ") }
}

/// The elements of a list as the server keeps it: `"$user", public`.
fn elements(list: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut chars = list.trim().chars().peekable();
    let mut within = false;
    while let Some(c) = chars.next() {
        let last = found.len() - 1;
        match c {
            '"' if within && chars.peek() == Some(&'"') => {
                chars.next();
                found[last].push('"');
            }
            '"' => within = !within,
            ',' if !within => found.push(String::new()),
            c if c.is_whitespace() && !within => {}
            other => found[last].push(other),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_and_settings_are_written_as_the_server_reads_them() {
        let grant = |role: Option<&str>, privileges: &str, option: &str| Carried::Grant {
            role: role.map(str::to_owned),
            privileges: privileges.into(),
            option: option.into(),
        };
        let setting = |role: Option<&str>, name: &str, value: &str| Carried::Setting {
            role: role.map(str::to_owned),
            name: name.into(),
            value: value.into(),
        };
        let sql = as_sql(
            &[
                Carried::List,
                grant(None, "CONNECT", ""),
                grant(Some("app"), "CONNECT, CREATE", "WITH GRANT OPTION"),
                setting(None, "search_path", "\"$user\", public, \"a,\"\"b\""),
                setting(Some("o'app"), "app.word", "it's; DROP"),
            ],
            "owner",
            "new",
        );
        assert_eq!(
            sql,
            [
                "REVOKE ALL ON DATABASE \"new\" FROM PUBLIC, \"owner\"",
                "GRANT CONNECT ON DATABASE \"new\" TO PUBLIC",
                "GRANT CONNECT, CREATE ON DATABASE \"new\" TO \"app\" WITH GRANT OPTION",
                "ALTER DATABASE \"new\" SET \"search_path\" TO '$user', 'public', 'a,\"b'",
                "ALTER ROLE \"o'app\" IN DATABASE \"new\" SET \"app.word\" TO 'it''s; DROP'",
            ]
        );
        assert_eq!(as_sql(&[], "owner", "new"), <[&str; 0]>::default());
        assert_eq!(
            as_sql(&[Carried::List], "owner", "new"),
            ["REVOKE ALL ON DATABASE \"new\" FROM PUBLIC, \"owner\""]
        );
        assert_eq!(value_of("search_path", "\"\""), "''");
    }
}
