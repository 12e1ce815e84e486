//! Whether a backup can be restored beside a database and take its name: looked at before anything is
//! written.

use crate::db::identifiers::{identifier, literal};
use crate::db::session::{Mode, Session};
use crate::failure::Failure;
use crate::report::{Finding, Severity};

use super::dump::megabytes;
use super::manifest::Manifest;
use super::restore::Source;
use super::script::Summary;

/// The live database and its server, as far as a restore must know them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Its name.
    pub name: String,
    /// Tells it from others of the same name.
    pub oid: u32,
    /// The cluster's; none where the role may not ask.
    pub system_identifier: Option<String>,
    /// The role that we are.
    pub user: String,
    /// The role that owns it.
    pub owner: String,
    /// `UTF8`, ...
    pub encoding: String,
    /// `LC_COLLATE`
    pub collate: String,
    /// `LC_CTYPE`
    pub ctype: String,
    /// `c`: libc; `i`: ICU; `b`: built in.
    pub provider: String,
    /// The provider's own name of the locale.
    pub locale: Option<String>,
    /// Where its files are.
    pub tablespace: String,
    /// -1: none.
    pub connection_limit: i32,
    /// What is written about it.
    pub comment: Option<String>,
    /// We are its owner, or have the owner's rights.
    pub owns: bool,
    /// We may make databases.
    pub may_create: bool,
    /// We may send other roles' sessions away.
    pub may_signal: bool,
    /// Prepared transactions in it.
    pub prepared: u64,
    /// Logical replication slots of it.
    pub slots: Option<String>,
    /// Whose the application's tables are, where there are any.
    pub app_owner: Option<String>,
    /// We may do anything.
    pub superuser: bool,
    /// Subscriptions in it.
    pub subscriptions: Option<String>,
    /// Where the server keeps its files, where we may know.
    pub data_directory: Option<String>,
    /// Somebody is in the app's table of users.
    pub has_users: bool,
    /// pg_cron keeps its jobs in it.
    pub has_cron: bool,
    /// Roles that the backup needs and the server lacks.
    pub missing_roles: Vec<String>,
    /// Extensions that the backup needs and the server cannot make.
    pub missing_extensions: Vec<String>,
}

impl Live {
    /// Looks at the session's database and at what the backup needs of the server.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub async fn look(
        session: &Session,
        roles: &[String],
        extensions: &[String],
    ) -> Result<Self, Failure> {
        const WHAT: &str = "cannot look at what a restore needs";
        let of = |kind| move |name: &String| format!(",('{kind}', {})", literal(name));
        let wanted: String =
            roles.iter().map(of("role")).chain(extensions.iter().map(of("extension"))).collect();
        let sql = include_str!("preflight.sql").replace("%WANTED%", &wanted);
        let sets = session.once(Mode::Read, WHAT, &sql).await?;
        let row = sets.last().and_then(|rows| rows.first());
        let row =
            row.ok_or_else(|| Failure::unexpected(WHAT).because("the server said nothing"))?;
        let maybe = |name: &str| row.get(name).map(str::to_owned);
        let text = |name: &str| maybe(name).unwrap_or_default();
        let yes = |name: &str| row.get(name) == Some("t");
        let lines = |name: &str| text(name).lines().map(str::to_owned).collect();
        Ok(Self {
            name: session.facts.database.clone(),
            oid: text("oid").parse().unwrap_or_default(),
            system_identifier: session.facts.system_identifier.clone(),
            user: session.facts.user.clone(),
            owner: text("owner"),
            encoding: text("encoding"),
            collate: text("collate"),
            ctype: text("ctype"),
            provider: text("provider"),
            locale: maybe("locale"),
            tablespace: text("tablespace"),
            connection_limit: text("connection_limit").parse().unwrap_or(-1),
            comment: maybe("comment"),
            owns: yes("owns"),
            may_create: yes("may_create"),
            may_signal: yes("may_signal"),
            prepared: text("prepared").parse().unwrap_or_default(),
            slots: maybe("slots"),
            app_owner: maybe("app_owner"),
            superuser: yes("superuser"),
            subscriptions: maybe("subscriptions"),
            data_directory: maybe("data_directory"),
            has_users: yes("has_users"),
            has_cron: row.get("cron") != Some("0"),
            missing_roles: lines("missing_roles"),
            missing_extensions: lines("missing_extensions"),
        })
    }

    /// Bytes that are free where the server keeps its files; none where that is not to be seen from
    /// here.
    pub fn free_bytes(&self, session: &Session) -> Option<u64> {
        free_in(self.data_directory.as_deref(), session)
    }
}

/// The same, where nothing else is looked at.
pub async fn free_bytes(session: &Session) -> Option<u64> {
    const SQL: &str = "SELECT setting FROM pg_settings WHERE name = 'data_directory'";
    // Who may not see it is not told.
    let sets = session.once(Mode::Read, "cannot see where the server keeps its files", SQL).await;
    let sets = sets.ok()?;
    free_in(sets.first()?.first()?.get(0), session)
}

fn free_in(directory: Option<&str>, session: &Session) -> Option<u64> {
    let directory = directory.filter(|_| session.is_local)?;
    // A container's path may mean another folder here, or nothing: what has no such file is not it.
    std::path::Path::new(directory).join("PG_VERSION").symlink_metadata().ok()?;
    let seen = rustix::fs::statvfs(directory).ok()?;
    Some(seen.f_bavail.saturating_mul(seen.f_frsize))
}

/// Everybody's, and not the application's by themselves.
const SERVERS_OWN: [&str; 3] = ["postgres", "template0", "template1"];

/// Why the restore cannot be. Pure.
pub fn obstacles(source: &Source, live: &Live, free_bytes: Option<u64>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |subject: &str, detail: String, remedy: String| {
        found.push(finding(
            Severity::Error,
            "This backup cannot be restored here",
            subject,
            detail,
            remedy,
        ));
    };
    let (name, user) = (identifier(&live.name), identifier(&live.user));
    if !live.may_create {
        refuse(
            "role",
            format!("{user} may not make databases"),
            format!("ALTER ROLE {user} CREATEDB;"),
        );
    }
    if !live.owns {
        refuse(
            "role",
            format!("{user} does not own database {name} and cannot give it another name"),
            format!("connect as {} or a superuser: -U", identifier(&live.owner)),
        );
    }
    if let Some(expected) = &live.app_owner {
        let owner = source.owner_of_users().unwrap_or(&live.user);
        if owner != expected {
            refuse(
                "owner",
                format!(
                    "the application's tables would belong to {}; those of {name} belong to {}, whom it would lock out",
                    identifier(owner),
                    identifier(expected)
                ),
                format!(
                    "a dump without owners: restore it as {0} (-U); else: ALTER ROLE ... RENAME, or restore into an empty database of {0}",
                    identifier(expected)
                ),
            );
        }
    } else if SERVERS_OWN.contains(&live.name.as_str()) {
        refuse(
            "database",
            format!("{name} is the server's own, and nothing of the application is in it"),
            format!(
                "createdb -T template0 markenmate, and restore into that: -d; owner {}",
                source.owner_of_users().map_or_else(|| "the application's role".into(), identifier)
            ),
        );
    }
    for role in &live.missing_roles {
        let role = identifier(role);
        refuse(
            "role",
            format!(
                "{role} owns or was granted something in the backup, and is not on this server"
            ),
            format!("CREATE ROLE {role};  -- LOGIN where it is the application's"),
        );
    }
    for extension in live.missing_extensions.iter().filter(|name| !super::script::is_cron(name)) {
        refuse(
            "extension",
            format!("{extension} is in the backup, and this server does not have it"),
            format!("install the package with extension {extension} on the server"),
        );
    }
    if live.prepared > 0 {
        refuse(
            "prepared transactions",
            format!("{} of them hold database {name} until they end", live.prepared),
            "SELECT gid FROM pg_prepared_xacts; then COMMIT PREPARED or ROLLBACK PREPARED each"
                .into(),
        );
    }
    if let Source::Bare(_, summary) = source {
        emptiness(summary, live, &mut refuse);
    }
    if let Source::Proven(backup) = source {
        for key in &backup.manifest.broken_keys {
            refuse(
                key,
                "its rows had lost their parents when the backup was taken: their keys cannot be made again".into(),
                "take a backup that was made after `markenmate verify` named none".into(),
            );
        }
        let needed = backup.manifest.database.bytes;
        if let Some(free) = free_bytes.filter(|free| *free < needed) {
            refuse(
                "space",
                format!(
                    "it took {} on its server; {} are free on this one",
                    megabytes(needed),
                    megabytes(free)
                ),
                "make room where the server keeps its files".into(),
            );
        }
    }
    found
}

/// A file that is complete and yet no database: it would be an empty one under the live one's name.
fn emptiness(summary: &Summary, live: &Live, refuse: &mut dyn FnMut(&str, String, String)) {
    if !summary.makes_tables {
        refuse(
            "no tables",
            "it makes no table at all: it is no dump of the app's database, or of its rows only".into(),
            "name a dump of the whole database, made without --data-only: markenmate rollback --restore PATH".into(),
        );
    } else if live.has_users && summary.rows() == Some(0) {
        refuse(
            "no rows",
            format!("it holds not one row, and database {} has users", identifier(&live.name)),
            "name a dump that was made without --schema-only: markenmate rollback --restore PATH"
                .into(),
        );
    }
}

/// What to know before, and does not stop it. Pure.
pub fn remarks(source: &Source, live: &Live) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut warn = |subject: &str, detail: String, remedy: &str| {
        found.push(finding(
            Severity::Warning,
            "To know before this restore",
            subject,
            detail,
            remedy.to_owned(),
        ));
    };
    match source {
        Source::Proven(backup) => provenance(&backup.manifest, live, &mut warn),
        Source::Bare(..) => warn(
            "no manifest",
            "whether it is what was dumped cannot be known: it is complete, and its rows are counted".into(),
            "compare the time of the file with what you expect",
        ),
    }
    if let Some(slots) = &live.slots {
        warn(
            "replication",
            format!("logical slot(s) {slots} stay with the database that is set aside"),
            "make them anew afterwards, and have subscribers copy again",
        );
    }
    if let Some(subscriptions) = &live.subscriptions {
        warn(
            "replication",
            format!(
                "subscription(s) {subscriptions} go on in the database that is set aside; none is restored"
            ),
            "drop them there afterwards, and make them anew",
        );
    }
    if live.has_cron {
        warn(
            "pg_cron",
            "its jobs are in this database and are not carried over".into(),
            "note them first: SELECT * FROM cron.job; afterwards CREATE EXTENSION pg_cron; and schedule them",
        );
    }
    if !live.may_signal {
        warn(
            "sessions",
            format!("{} may send away its own sessions only", identifier(&live.user)),
            &format!(
                "stop the application first, or as a superuser: GRANT pg_signal_backend TO {};",
                identifier(&live.user)
            ),
        );
    }
    if live.superuser && live.owner != live.user {
        warn(
            "rights",
            "what the backup's owner wrote into checks, indexes and views runs with a superuser's rights here".into(),
            &format!("restore as {}, with CREATEDB, where that is not to be", identifier(&live.owner)),
        );
    }
    found
}

fn provenance(manifest: &Manifest, live: &Live, warn: &mut dyn FnMut(&str, String, &str)) {
    let of = &manifest.database;
    let known = of.system_identifier.is_some() && live.system_identifier.is_some();
    if known && of.system_identifier != live.system_identifier {
        warn(
            "provenance",
            format!("it was taken on another server, of a database {:?}", of.name),
            "go on only where that is what you mean: disaster recovery, a copy",
        );
    } else if of.oid != live.oid {
        warn(
            "provenance",
            format!(
                "it was taken of an earlier database, {:?} at that time, or of another one",
                of.name
            ),
            "go on only where that is what you mean",
        );
    }
    if (&of.encoding, &of.collate, &of.ctype) != (&live.encoding, &live.collate, &live.ctype) {
        warn(
            "encoding",
            format!(
                "the new database has the backup's: {} {} {}; the present one {} {} {}",
                of.encoding, of.collate, of.ctype, live.encoding, live.collate, live.ctype
            ),
            "sorting may differ",
        );
    }
}

fn finding(
    severity: Severity,
    title: &str,
    subject: &str,
    detail: String,
    remedy: String,
) -> Finding {
    Finding {
        id: "restore".into(),
        severity,
        title: title.into(),
        subject: subject.into(),
        detail,
        remedy,
    }
}
