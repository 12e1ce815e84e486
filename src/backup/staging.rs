//! The database that is restored into: beside the live one, under a name of its own that nobody uses,
//! until it is whole. What a killed run leaves of it is known by that name.

use crate::context::Context;
use crate::db::identifiers::{literal, quoted};
use crate::db::locks;
use crate::db::session::{Mode, Session};
use crate::failure::{Failure, Kind};

use super::carried;
use super::manifest::Database;
use super::preflight::Live;

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
        let (guard, worker) = (open(cx, session).await?, open(cx, session).await?);
        // It waits as long as the restore takes.
        let patient = "SELECT set_config('idle_session_timeout', '0', false) \
                        WHERE current_setting('server_version_num')::int >= 140000";
        worker.run("cannot prepare the connection beside the database", patient).await?;
        let sql = locks::try_restore_lock_sql(live.oid);
        let what = "cannot take the lock between restores";
        let sets = guard.begin_within(Mode::Guard, guard.timeouts(), what, &sql).await?;
        let taken = sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0));
        if taken != Some("t") {
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

    /// The database that an earlier run has restored from the very same backup, where there is one.
    /// All other leavings of this database's restores are dropped; says their names.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn leavings(
        &self,
        fingerprint: &str,
    ) -> Result<(Option<Staged>, Vec<String>), Failure> {
        const WHAT: &str = "cannot look for what earlier restores have left";
        let sql = "SELECT datname, oid::text AS oid, shobj_description(oid, 'pg_database') AS comment \
                     FROM pg_database WHERE datname LIKE '%\\_restoring\\_%' ORDER BY oid DESC";
        let sets = self.worker.once(Mode::Read, WHAT, sql).await?;
        let (mut whole, mut dropped) = (None, Vec::new());
        for row in sets.iter().flatten() {
            let name = row.get("datname").unwrap_or_default().to_owned();
            // After a swap the live database is another one: what is left is older than that.
            let Some(of) = restored_beside(&name, &self.live.name) else { continue };
            let is_whole = of == self.live.oid
                && row.get("comment") == Some(format!("{WHOLE}{fingerprint}").as_str());
            let oid = row.get("oid").and_then(|oid| oid.parse().ok()).unwrap_or_default();
            let staged = Staged { name: name.clone(), oid };
            if is_whole && whole.is_none() && self.is_alike(&staged).await? {
                whole = Some(staged);
            } else if of == self.live.oid || self.is_over(of).await? {
                self.drop(&name).await?;
                dropped.push(name);
            }
        }
        Ok((whole, dropped))
    }

    /// It belongs to whom the live one belongs to, and has its grants and settings as they are now: one
    /// that others have made has not, nor has one from before they were changed.
    async fn is_alike(&self, staged: &Staged) -> Result<bool, Failure> {
        const WHAT: &str = "cannot compare the restored database with the live one";
        let sql = format!(
            "SELECT count(DISTINCT datdba)::text, count(*)::text FROM pg_database WHERE oid IN ({}, {})",
            self.live.oid, staged.oid
        );
        let sets = self.worker.once(Mode::Read, WHAT, &sql).await?;
        let row = sets.last().and_then(|rows| rows.first());
        let of = async |oid| {
            carried::statements(&self.worker, oid, &self.live.owner, &self.live.name).await
        };
        Ok(row.is_some_and(|row| (row.get(0), row.get(1)) == (Some("1"), Some("2")))
            && of(self.live.oid).await? == of(staged.oid).await?)
    }

    /// The same, right before the swap.
    ///
    /// # Errors
    /// Refused where it is not so any more.
    pub async fn still_alike(&self, staged: &Staged) -> Result<(), Failure> {
        match self.is_alike(staged).await? {
            true => Ok(()),
            false => Err(Failure::refused(format!(
                "owner, grants or settings of {} were changed during the restore: nothing was changed",
                self.live.name
            ))
            .hint("run the same command again: it restores anew")),
        }
    }

    /// Nobody restores the database of this oid any more.
    async fn is_over(&self, oid: u32) -> Result<bool, Failure> {
        let sql = locks::try_restore_lock_sql(oid);
        let sets = self.guard.run("cannot take the lock between restores", &sql).await?;
        Ok(sets.last().and_then(|rows| rows.first()).and_then(|row| row.get(0)) == Some("t"))
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

    /// Marks one as whole, so that it need not be restored again should this run end now.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn mark(&self, staged: &Staged, fingerprint: &str) -> Result<(), Failure> {
        let text = literal(&format!("{WHOLE}{fingerprint}"));
        let sql = format!("COMMENT ON DATABASE {} IS {text}", quoted(&staged.name));
        self.worker.once(Mode::Write, "cannot mark the new database", &sql).await.map(drop)
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

/// Another session on the same server.
pub(super) async fn open(cx: &Context, session: &Session) -> Result<Session, Failure> {
    let mut failed = None;
    for place in PLACES.into_iter().filter(|place| *place != session.facts.database) {
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

/// The oid of the database that this one was to replace, where it is the leaving of a restore of the
/// live one.
fn restored_beside(name: &str, live: &str) -> Option<u32> {
    let (rest, run) = name.rsplit_once('_')?;
    let oid = rest.rsplit_once("_restoring_")?.1.parse().ok()?;
    let is_run = run.len() == 8 && run.chars().all(|c| c.is_ascii_hexdigit());
    (is_run && named(live, &suffix(oid, run)) == name).then_some(oid)
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
    fn leavings_are_known_by_their_names() {
        let of = |name: &str| restored_beside(name, "markenmate");
        assert_eq!(of("markenmate_restoring_16384_0a1b2c3d"), Some(16384));
        for other in [
            "markenmate_restoring_16384_0a1b2c3",
            "markenmate_restoring_x_0a1b2c3d",
            "other_restoring_16384_0a1b2c3d",
            "markenmate_before_restore_20261125093000",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
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
