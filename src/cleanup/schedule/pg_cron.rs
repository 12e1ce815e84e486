//! A job of pg_cron: in the server, for the tokens only, whose SQL is one statement.
//!
//! pg_cron lives in one database of the server (`cron.database_name`), and runs jobs in any
//! (`cron.schedule_in_database`, since 1.4).

use serde::Serialize;
use tokio_postgres::SimpleQueryRow;

use super::marker::{self, Ours};
use super::names::Names;
use super::{RHYTHMS, Rhythm};
use crate::db::identifiers::{identifier, literal};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;

/// What runs.
pub const RHYTHM: &Rhythm = &RHYTHMS[0];
/// pg_cron's own default.
const USUAL: &str = "postgres";
/// Jobs may be shown to whoever has them.
const OWN_ROWS: &str = "SET LOCAL row_security = on;";

/// What the application's database says.
#[derive(Debug, Clone, Default)]
pub struct Here {
    user: String,
    cron_database: Option<String>,
    sees_settings: bool,
    is_here: bool,
    owner: Option<String>,
    owner_logs_in: bool,
    superuser: bool,
    has_tables: bool,
    may: bool,
}

/// What pg_cron's own database says; none: there is no pg_cron.
#[derive(Debug, Clone, Default)]
pub struct There {
    version: String,
    schedules_elsewhere: bool,
    uses_schema: bool,
    may: bool,
}

/// A job as pg_cron has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Job {
    /// pg_cron's number; empty: not there yet.
    pub id: String,
    /// As in a crontab.
    pub schedule: String,
    /// Its SQL.
    pub command: String,
    /// The database in which it runs.
    pub database: String,
    /// The role as which it runs.
    pub username: String,
    /// It is not paused.
    pub active: bool,
    /// How it last ended, as pg_cron says.
    pub last: Option<String>,
}

impl Here {
    /// Asks.
    ///
    /// # Errors
    /// The server's.
    pub async fn look(session: &Session) -> Result<Self, Failure> {
        let what = "cannot look for pg_cron";
        let sets = session.once(Mode::Read, what, include_str!("pg_cron_here.sql")).await?;
        let row = sets.first().and_then(|rows| rows.first());
        Ok(row.map(Self::read).unwrap_or_default())
    }

    /// It is seen that pg_cron is there.
    pub fn knows_pg_cron(&self) -> bool {
        self.cron_database.is_some() || self.is_here
    }

    /// The role that we are.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The owner of the tokens.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    fn read(row: &SimpleQueryRow) -> Self {
        let text = |name| row.get(name).map(str::to_owned);
        let yes = |name| row.get(name) == Some("t");
        Self {
            user: text("user").unwrap_or_default(),
            cron_database: text("cron_database"),
            sees_settings: yes("sees_settings"),
            is_here: yes("is_here"),
            owner: text("owner"),
            owner_logs_in: yes("owner_logs_in"),
            superuser: yes("superuser"),
            has_tables: yes("has_tables"),
            may: yes("may"),
        }
    }

    /// pg_cron's own database; none where it is not loaded into the server. Pure.
    pub fn cron_database(&self, database: &str) -> Option<String> {
        match &self.cron_database {
            Some(name) => Some(name.clone()),
            None if self.is_here => Some(database.to_owned()),
            None if self.sees_settings => None,
            None => Some(USUAL.to_owned()),
        }
    }

    /// The role as which the job runs: the owner of what it deletes, with no more rights than that.
    ///
    /// # Errors
    /// Refused: there is nothing to clean up yet, or the role may not.
    fn runs_as(&self) -> Result<&str, Failure> {
        let owner = self.owner.as_deref().filter(|_| self.has_tables).ok_or_else(|| {
            Failure::refused("there is nothing here that a job could clean up yet")
                .because("public.step_up_token and markenmate.cleanup come with the migration")
                .hint("first: markenmate migrate")
        })?;
        let shown = identifier(owner);
        if self.superuser && self.user != owner {
            return match self.owner_logs_in {
                true => Ok(owner),
                false => Err(Failure::refused(format!("role {shown} may not log in, and the job would run as it"))
                    .because("as a superuser, who could log in, it would run whatever triggers the owner made")
                    .hint(format!("ALTER ROLE {shown} LOGIN; or: markenmate cleanup schedule --via systemd"))),
            };
        }
        match self.may {
            true => Ok(&self.user),
            false => Err(Failure::refused(format!(
                "role {} may not delete tokens and write markenmate.cleanup",
                identifier(&self.user)
            ))
            .hint(format!("connect as {shown}, the owner of the app's tables, or as a superuser"))),
        }
    }
}

impl There {
    /// Asks in pg_cron's own database.
    ///
    /// # Errors
    /// The server's.
    pub async fn look(cron: &Session) -> Result<Option<Self>, Failure> {
        let what = "cannot look for pg_cron";
        let sets = cron.once(Mode::Read, what, include_str!("pg_cron_there.sql")).await?;
        let row = sets.first().and_then(|rows| rows.first());
        Ok(row.map(|row| {
            let yes = |name| row.get(name) == Some("t");
            Self {
                version: row.get("version").unwrap_or_default().to_owned(),
                schedules_elsewhere: yes("schedules_elsewhere"),
                uses_schema: yes("uses_schema"),
                may: yes("may"),
            }
        }))
    }
}

impl There {
    /// Whether pg_cron's own tables may be read.
    pub fn may_look(&self) -> bool {
        self.uses_schema && self.schedules_elsewhere
    }
}

/// pg_cron is not loaded.
pub fn not_loaded() -> Failure {
    Failure::refused("there is no pg_cron in this server")
        .because("no setting cron.database_name: the library is not loaded")
        .hint("install it (Debian: apt-get install postgresql-15-cron, with the server's own number), put \
               shared_preload_libraries = 'pg_cron' and cron.database_name = 'postgres' into postgresql.conf, restart \
               the server")
        .hint("then, in that database, as a superuser: CREATE EXTENSION pg_cron;")
        .hint("or without it: markenmate cleanup schedule --via systemd")
}

/// Whether the job can be set up, and as what. Pure.
///
/// # Errors
/// Refused, with what to do about it.
pub fn wanted(
    names: &Names,
    database: &str,
    here: &Here,
    there: Option<&There>,
    cron_database: &str,
) -> Result<Job, Failure> {
    let username = here.runs_as()?.to_owned();
    let (cron, role) = (identifier(cron_database), identifier(&here.user));
    let Some(there) = there else {
        let mut failure =
            Failure::refused(format!("there is no extension pg_cron in database {cron}"))
                .hint(format!("in database {cron}, as a superuser: CREATE EXTENSION pg_cron;"));
        if here.cron_database.is_none() && !here.sees_settings {
            failure = failure.hint(format!(
                "if it lives in another database: GRANT pg_read_all_settings TO {role}; so that it can be found"
            ));
        }
        return Err(failure.hint("or without it: markenmate cleanup schedule --via systemd"));
    };
    if !there.schedules_elsewhere {
        return Err(Failure::refused(format!("pg_cron {} is too old", there.version))
            .because("cron.schedule_in_database came with 1.4")
            .hint(format!(
                "in database {cron}, as a superuser: ALTER EXTENSION pg_cron UPDATE; where that brings no newer one: \
                 a newer package, and a restart"
            ))
            .hint("or without it: markenmate cleanup schedule --via systemd"));
    }
    if !there.uses_schema || !there.may {
        return Err(Failure::refused(format!("role {role} may not schedule jobs")).hint(format!(
            "in database {cron}, as a superuser: GRANT USAGE ON SCHEMA cron TO {role}; GRANT EXECUTE ON FUNCTION \
             cron.schedule_in_database(text, text, text, text, text, boolean) TO {role};"
        )));
    }
    Ok(Job {
        schedule: RHYTHM.crontab.to_owned(),
        command: command(names),
        database: database.to_owned(),
        username,
        active: true,
        ..Job::default()
    })
}

/// The job's SQL.
pub fn command(names: &Names) -> String {
    marker::stamped("--", names.in_server(), include_str!("pg_cron_job.sql"))
}

/// The jobs of our name, whoever made them.
///
/// # Errors
/// The server's.
pub async fn jobs(cron: &Session, names: &Names) -> Result<Vec<Job>, Failure> {
    let sql = include_str!("pg_cron_jobs.sql").replace("%NAME%", &literal(&names.server_job()));
    let sets =
        cron.once(Mode::Read, "cannot read pg_cron's jobs", &format!("{OWN_ROWS}{sql}")).await?;
    let job = |row: &SimpleQueryRow| {
        let text = |name| row.get(name).unwrap_or_default().to_owned();
        Job {
            id: text("id"),
            schedule: text("schedule"),
            command: text("command"),
            database: text("database"),
            username: text("username"),
            active: row.get("active") == Some("t"),
            last: row.get("last").map(str::to_owned),
        }
    };
    Ok(sets.iter().flatten().map(job).collect())
}

impl Job {
    /// The same, as far as it was asked for.
    pub fn is(&self, wanted: &Self) -> bool {
        let told = |job: &Self| Self { id: String::new(), last: None, ..job.clone() };
        told(self) == told(wanted)
    }

    /// Whose it is.
    pub fn ours(&self) -> Ours {
        marker::read(&self.command)
    }

    /// The statement that takes it away.
    pub fn unschedule(&self) -> String {
        format!("SELECT cron.unschedule({}::bigint)", literal(&self.id))
    }

    /// The statement that makes it; to be run in pg_cron's own database. `as_role`: as somebody else,
    /// which only a superuser may say.
    pub fn schedule(&self, names: &Names, as_role: bool) -> String {
        let username = if as_role { literal(&self.username) } else { "NULL".to_owned() };
        format!(
            "SELECT cron.schedule_in_database({}, {}, {}, {}, {username}, true)",
            literal(&names.server_job()),
            literal(&self.schedule),
            literal(&self.command),
            literal(&self.database),
        )
    }
}

/// Takes `gone` away and makes `wanted`, in one transaction of pg_cron's own database.
///
/// # Errors
/// The server's; then nothing was changed.
pub async fn change(
    cron: &Session,
    names: &Names,
    gone: &[Job],
    wanted: Option<&Job>,
) -> Result<(), Failure> {
    let mut sql: Vec<String> = gone.iter().map(Job::unschedule).collect();
    sql.extend(wanted.map(|job| job.schedule(names, job.username != cron.facts.user)));
    let sql = format!("{OWN_ROWS}{}", sql.join(";"));
    cron.once(Mode::Write, "cannot change pg_cron's jobs", &sql).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every refusal would stop is there.
    fn here() -> Here {
        Here {
            user: "app".into(),
            cron_database: Some("postgres".into()),
            owner: Some("app".into()),
            owner_logs_in: true,
            has_tables: true,
            may: true,
            ..Here::default()
        }
    }

    fn there() -> There {
        There { version: "1.4-1".into(), schedules_elsewhere: true, uses_schema: true, may: true }
    }

    fn said(here: &Here, there: Option<&There>) -> String {
        match wanted(&Names::of("d"), "d", here, there, "postgres") {
            Ok(job) => job.username,
            Err(failure) => {
                assert_eq!(failure.kind.exit_code(), 4);
                format!("{failure} {:?}", failure.hints)
            }
        }
    }

    #[test]
    fn each_obstacle_says_what_to_do() {
        assert_eq!(said(&here(), Some(&there())), "app");
        let old = There { schedules_elsewhere: false, version: "1.3".into(), ..there() };
        assert!(said(&here(), Some(&old)).contains("ALTER EXTENSION pg_cron UPDATE"));
        let denied = There { may: false, ..there() };
        assert!(said(&here(), Some(&denied)).contains("GRANT EXECUTE ON FUNCTION"));
        assert!(said(&here(), None).contains("CREATE EXTENSION pg_cron"));
        let blind = Here { cron_database: None, ..here() };
        assert!(said(&blind, None).contains("GRANT pg_read_all_settings TO app"));
        assert!(said(&Here { has_tables: false, ..here() }, None).contains("markenmate migrate"));
        assert!(said(&Here { may: false, ..here() }, Some(&there())).contains("connect as app"));
        let root = Here { user: "postgres".into(), superuser: true, may: true, ..here() };
        assert_eq!(said(&root, Some(&there())), "app", "no superuser's rights for a job");
        let nobody = Here { owner_logs_in: false, ..root };
        assert!(said(&nobody, Some(&there())).contains("ALTER ROLE app LOGIN"));
    }

    #[test]
    fn pg_crons_database_is_found_as_far_as_it_can_be_seen() {
        assert_eq!(here().cron_database("d").as_deref(), Some("postgres"));
        let unseen = Here { cron_database: None, ..here() };
        assert_eq!(unseen.cron_database("d").as_deref(), Some("postgres"));
        assert_eq!(
            Here { is_here: true, ..unseen.clone() }.cron_database("d").as_deref(),
            Some("d")
        );
        assert_eq!(Here { sees_settings: true, ..unseen }.cron_database("d"), None);
    }

    #[test]
    fn the_job_is_one_statement_and_names_its_schemas() {
        let sql = include_str!("pg_cron_job.sql");
        assert!(!sql.contains(';'));
        for table in ["step_up_token", "cleanup"] {
            assert!(
                !sql.contains(&format!("FROM {table}")) && !sql.contains(&format!("INTO {table}"))
            );
        }
    }
}
