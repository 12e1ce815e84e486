//! The check `default-password`: read in the moment of the other checks, judged after it, as one scrypt
//! takes longer than all of them.

use secrecy::{ExposeSecret, SecretString};

use crate::admin::password::{self, Verdict as Said};
use crate::checks::registry::Check;
use crate::checks::verdict::Verdict;
use crate::db::catalogue::Catalogue;
use crate::db::interrupt::Interrupt;
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::report::{Finding, Severity};
use crate::tools::shell;

/// The check's id.
pub(super) const ID: &str = "default-password";

const WHAT: &str = "cannot read the passwords' hashes";

/// What was read, or why not.
pub(super) enum Read {
    /// Nobody's password was judged yet.
    Admins(Vec<Admin>),
    /// There is nothing to judge.
    Missing(String),
    /// The role may not look.
    Denied(String),
}

/// An admin who logs in with a password.
pub(super) struct Admin {
    id: String,
    email: String,
    must_change: bool,
    hash: SecretString,
}

/// Reads them in the open transaction.
pub(super) async fn read(
    session: &Session,
    check: &Check,
    version: i32,
    catalogue: &Catalogue,
) -> Result<Read, Failure> {
    if let Some(reason) = check.requires.missing(version, i32::MAX, catalogue) {
        return Ok(Read::Missing(reason));
    }
    let user = catalogue.tables.get("user");
    let known = user.is_some_and(|user| user.columns.contains_key("must_change_password"));
    let must_change = if known { "concat(u.must_change_password)" } else { "NULL" };
    let sql = include_str!("credentials.sql").replace("%MUST_CHANGE%", must_change);
    let fenced = format!("SAVEPOINT credentials;\n{sql};\nRELEASE SAVEPOINT credentials");
    match session.run(WHAT, &fenced).await {
        Ok(sets) => Ok(Read::Admins(sets.iter().flatten().map(Admin::from_row).collect())),
        Err(failure) if failure.kind == Kind::Refused => {
            session.run(WHAT, "ROLLBACK TO SAVEPOINT credentials").await?;
            Ok(Read::Denied(format!("may not be read: {}", failure.causes.join(": "))))
        }
        Err(failure) => Err(failure),
    }
}

impl Read {
    /// Judges them, on a thread of their own.
    ///
    /// # Errors
    /// A signal came.
    pub(super) async fn judge(
        self,
        check: &'static Check,
        interrupt: &Interrupt,
    ) -> Result<Verdict, Failure> {
        let admins = match self {
            Self::Admins(admins) => admins,
            Self::Missing(reason) => return Ok(Verdict::skipped(check, reason)),
            Self::Denied(reason) => return Ok(Verdict::denied(check, reason)),
        };
        let seed = SecretString::from(password::SEED);
        let found = interrupt.during(move || {
            let judged = admins.iter().map(|admin| admin.finding(check, &seed));
            judged.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        });
        Ok(Verdict::found(check, found.await??))
    }
}

impl Admin {
    fn from_row(row: &tokio_postgres::SimpleQueryRow) -> Self {
        let text = |name| row.get(name).unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            email: text("email"),
            must_change: row.get("must_change") == Some("t"),
            hash: text("password").into(),
        }
    }

    fn finding(&self, check: &Check, seed: &SecretString) -> Result<Option<Finding>, Failure> {
        let (severity, detail) = match password::judge(seed, self.hash.expose_secret())? {
            Said::Right => {
                (check.severity, "has the password that stands in the application's public source")
            }
            _ if self.must_change => (
                check.severity,
                "must change the password that somebody else gave, and has not yet",
            ),
            Said::Wrong => return Ok(None),
            Said::UnknownFormat => (
                Severity::Info,
                "has a password whose hash is of another form: it cannot be judged",
            ),
        };
        let mut remedy = format!("log in as {} and change the password", self.email);
        if severity == check.severity {
            // Whoever keeps the database need not know any password of theirs.
            remedy += "; or take the role away: markenmate admin demote ";
            remedy += &format!("{} --as ADMIN", shell::word(&self.email));
        }
        let subject = format!("{} ({})", self.email, self.id);
        let finding = check.finding(subject, detail.into(), Some(remedy));
        Ok(Some(Finding { severity, ..finding }))
    }
}
