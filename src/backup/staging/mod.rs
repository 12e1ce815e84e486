//! The database that is restored into: beside the live one, under a name of its own that nobody uses,
//! until it is whole. What a killed run leaves of it is known by that name.

use std::path::Path;

use crate::context::Context;
use crate::db::identifiers::{literal, quoted};
use crate::db::locks;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

use super::carried;
use super::manifest::Database;
use super::preflight::Live;

pub mod beside;
mod leavings;

/// A place on the server outside of the live database, and the lock that keeps other restores of it
/// away for as long as this value lives.
pub struct Maintenance {
    /// Holds the lock in a transaction that is otherwise idle.
    guard: Session,
    worker: Session,
    live: Live,
}

/// A restored database that waits for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its name for now.
    pub name: String,
    /// Its oid, which stays.
    pub oid: u32,
}

/// What a whole one is marked with: which backup it is.
const WHOLE: &str = "markenmate: restored and compared, waiting for its name; ";

/// Where everybody may connect, in the order of trying.
const PLACES: [&str; 2] = ["postgres", "template1"];

impl Maintenance {
    /// Connects beside the live database.
    ///
    /// # Errors
    /// Busy where another restore of it is under way.
    pub async fn enter(cx: &Context, session: &Session, live: &Live) -> Result<Self, Failure> {
        let beside = &live.name;
        let (guard, worker) = (open(cx, session, beside).await?, open(cx, session, beside).await?);
        // It waits as long as the restore takes.
        let patient = "SELECT set_config('idle_session_timeout', '0', false) \
                        WHERE current_setting('server_version_num')::int >= 140000";
        worker.run("cannot prepare the connection beside the database", patient).await?;
        let sql = locks::try_restore_lock_sql(live.oid);
        let what = "cannot take the lock between restores";
        let sets = guard.begin_within(Mode::Guard, guard.timeouts(), what, &sql).await?;
        let taken = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0));
        let elsewhere = taken_elsewhere(&worker, live.oid, &guard).await?;
        if taken != Some("t") || elsewhere {
            guard.end().await;
            return Err(Failure::new(
                Kind::Busy,
                format!("another restore of database {} is under way", live.name),
            )
            .hint("wait for it; pg_stat_activity shows it as markenmate"));
        }
        Ok(Self { guard, worker, live: live.clone() })
    }

    /// Statements beside the live database.
    pub fn worker(&self) -> &Session {
        &self.worker
    }

    /// The live database.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Still the only restore of this database: whoever ended the session that holds the lock has let
    /// another run in.
    ///
    /// # Errors
    /// Refused where the lock is gone.
    pub async fn still_alone(&self) -> Result<(), Failure> {
        let held = self.guard.run("cannot ask for the lock between restores", "SELECT 1").await;
        held.map(drop).map_err(|failure| {
            failure
                .attempting("the lock between restores was lost: another restore may be under way")
                .hint("run the same command again")
        })
    }

    /// Makes an empty one, as the backup's was where that is known, with the grants and settings of the
    /// live one.
    ///
    /// # Errors
    /// The server refuses: nothing is left.
    pub async fn create(&self, cx: &Context, of: Option<&Database>) -> Result<Staged, Failure> {
        let name = self.make(cx, of).await?;
        let furnished = self.furnish(&name).await;
        self.made(name, furnished).await
    }

    /// Makes an empty one that is to be dropped again: nobody but its owner, which we are, may connect.
    ///
    /// # Errors
    /// The server refuses: nothing is left.
    pub async fn create_scratch(&self, cx: &Context, of: &Database) -> Result<Staged, Failure> {
        let name = self.make(cx, Some(of)).await?;
        let closed = self
            .equip(&name, vec![format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", quoted(&name))]);
        let closed = closed.await;
        self.made(name, closed).await
    }

    async fn make(&self, cx: &Context, of: Option<&Database>) -> Result<String, Failure> {
        let run = cx.run_id.simple().to_string();
        let name = named(&self.live.name, &suffix(self.live.oid, &run[..8]));
        let what = "cannot make the new database";
        match self.worker.run(what, &create_sql(&name, &self.live, of)).await {
            Ok(_) => Ok(name),
            Err(failure) => {
                // A signal may have come when the server had just made it.
                let _ = self.drop(&name).await;
                Err(failure)
            }
        }
    }

    async fn made(&self, name: String, oid: Result<u32, Failure>) -> Result<Staged, Failure> {
        match oid {
            Ok(oid) => Ok(Staged { name, oid }),
            Err(failure) => {
                let _ = self.drop(&name).await;
                Err(failure)
            }
        }
    }

    async fn furnish(&self, name: &str) -> Result<u32, Failure> {
        let (oid, owner) = (self.live.oid, &self.live.owner);
        let sql = carried::statements(&self.worker, oid, owner, name).await?;
        self.equip(name, sql).await
    }

    /// Runs the statements that make it what it is to be; says its oid.
    async fn equip(&self, name: &str, mut sql: Vec<String>) -> Result<u32, Failure> {
        const WHAT: &str = "cannot give the new database its grants and settings";
        sql.push(format!("SELECT oid::text FROM pg_database WHERE datname = {}", literal(name)));
        let sets = self.worker.once(Mode::Write, WHAT, &sql.join(";")).await?;
        let oid =
            sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0)?.parse().ok());
        oid.ok_or_else(|| Failure::unexpected(WHAT).because("it is gone"))
    }

    /// Connects to one.
    ///
    /// # Errors
    /// Not let in.
    pub async fn connect(&self, cx: &Context, staged: &Staged) -> Result<Session, Failure> {
        let endpoint = self.worker.endpoint.with_database(&staged.name);
        Session::open(&endpoint, &cx.settings, &cx.interrupt).await
    }

    /// Connects to one to fill it: what is committed there need not be on disk until something is
    /// committed that must be, and the mark that it is whole is such a thing.
    ///
    /// # Errors
    /// Not let in.
    pub async fn connect_to_fill(&self, cx: &Context, staged: &Staged) -> Result<Session, Failure> {
        let endpoint = self.worker.endpoint.with_database(&staged.name);
        let endpoint = endpoint.with_setting("synchronous_commit", "off");
        match Session::open(&endpoint, &cx.settings, &cx.interrupt).await {
            Ok(session) => Ok(session),
            // A pooler takes no settings: then it takes longer.
            Err(_) => self.connect(cx, staged).await,
        }
    }

    /// Closes one and marks it as whole: it need not be restored again should this run end now, and
    /// nobody writes to it any more, not even by mistake.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn mark(&self, staged: &Staged, fingerprint: &str, of: &Path) -> Result<(), Failure> {
        const WHAT: &str = "cannot mark the new database";
        self.still_alone().await?;
        let of = of.canonicalize().unwrap_or_else(|_| of.to_path_buf());
        let text = literal(&format!("{WHOLE}{fingerprint} {}", of.display()));
        let name = quoted(&staged.name);
        let sql = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false;COMMENT ON DATABASE {name} IS {text}"
        );
        self.worker.once(Mode::Write, WHAT, &sql).await?;
        // Whoever looked in before the door was shut.
        let sessions = super::swap::sessions_sql(&[staged.oid]);
        let sql = format!(
            "SELECT pg_terminate_backend(pid::int) FROM ({sessions}) s WHERE NOT out_of_reach"
        );
        self.worker.once(Mode::Read, WHAT, &sql).await.map(drop)
    }

    /// Drops one, and whoever is connected to it, even after a signal.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn drop(&self, name: &str) -> Result<(), Failure> {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
        self.worker.regardless(&format!("cannot drop {name}"), &sql).await
    }
}

/// Locks are each database's own, and not every role is let in to the same: whether somebody holds the
/// lock in another one.
async fn taken_elsewhere(worker: &Session, oid: u32, guard: &Session) -> Result<bool, Failure> {
    let sql = locks::restore_lock_holders_sql(oid, &guard.facts.database);
    let sets = worker.once(Mode::Read, "cannot see who holds locks", &sql).await?;
    Ok(sets.last().is_some_and(|rows| !rows.is_empty()))
}

/// Another session on the same server, outside of the database of that name.
pub(super) async fn open(
    cx: &Context,
    session: &Session,
    beside: &str,
) -> Result<Session, Failure> {
    let mut failed = None;
    for place in PLACES.into_iter().filter(|place| *place != beside) {
        let endpoint = session.endpoint.with_database(place);
        match Session::open(&endpoint, &cx.settings, &cx.interrupt).await {
            Ok(other) => return same_server(session, other),
            Err(failure) if failure.kind == Kind::Interrupted => return Err(failure),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    let failure =
        failed.unwrap_or_else(|| Failure::unexpected("there is no database to work from"));
    Err(failure.attempting("cannot connect to database postgres or template1 on the same server").hint(
        "names are changed from outside of a database: the role must be let in to one of them (pg_hba.conf, a pooler's list)",
    ))
}

/// With several hosts in the address another one may answer.
fn same_server(session: &Session, other: Session) -> Result<Session, Failure> {
    let same = other.facts.system_identifier == session.facts.system_identifier
        && (&other.host, other.port) == (&session.host, session.port)
        && !other.facts.standby;
    match same {
        true => Ok(other),
        false => Err(Failure::refused("a second connection reached another server")
            .because(format!(
                "first {}:{}, then {}:{}",
                session.host, session.port, other.host, other.port
            ))
            .hint("name one host")),
    }
}

/// The name with something after it, within the 63 bytes that a name may have.
pub(super) fn named(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(63 - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}

fn suffix(oid: u32, run: &str) -> String {
    format!("_restoring_{oid}_{run}")
}

fn create_sql(name: &str, live: &Live, of: Option<&Database>) -> String {
    let (encoding, collate, ctype) = match of {
        Some(of) => (&of.encoding, &of.collate, &of.ctype),
        None => (&live.encoding, &live.collate, &live.ctype),
    };
    let alike = (encoding, collate, ctype) == (&live.encoding, &live.collate, &live.ctype);
    let provider = match (live.provider.as_str(), &live.locale) {
        ("i", Some(locale)) if alike => {
            format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale))
        }
        ("b", Some(locale)) if alike => {
            format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(locale))
        }
        _ => String::new(),
    };
    // To name the usual one takes a privilege on it.
    let tablespace = match live.tablespace.as_str() {
        "pg_default" => String::new(),
        other => format!(" TABLESPACE {}", quoted(other)),
    };
    format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}{provider} OWNER {}{tablespace}",
        quoted(name),
        literal(encoding),
        literal(collate),
        literal(ctype),
        quoted(&live.owner),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_within_what_the_server_takes() {
        assert_eq!(named("markenmate", "_before_restore_1"), "markenmate_before_restore_1");
        let long = named(&"ä".repeat(40), "_before_restore_20261125093000");
        assert!(long.len() <= 63 && long.ends_with("_before_restore_20261125093000"), "{long}");
    }

    #[test]
    fn a_new_database_has_the_locale_of_the_old_one() {
        let live = Live {
            owner: "app".into(),
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            provider: "i".into(),
            locale: Some("de".into()),
            tablespace: "fast".into(),
            ..Live::default()
        };
        assert_eq!(
            create_sql("n", &live, None),
            "CREATE DATABASE \"n\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' \
             LOCALE_PROVIDER icu ICU_LOCALE 'de' OWNER \"app\" TABLESPACE \"fast\""
        );
    }
}
