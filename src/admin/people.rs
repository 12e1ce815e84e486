//! Users of the app, and which of them somebody meant.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::session::Session;
use crate::failure::Failure;

use super::standing::Standing;

/// A user of the app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The user's id.
    pub id: String,
    /// The email address, in the case that is stored.
    pub email: String,
    /// The name.
    pub name: String,
    /// `admin` or `user`.
    pub role: String,
    /// Has the master admin's flag.
    pub is_master: bool,
    /// RFC 3339, to the second; none for a time beyond what that can say.
    pub created_at: Option<String>,
    /// The order of creation among those read with it; the same for the same moment.
    pub rank: i64,
    /// The app asks for another password first.
    pub must_change_password: bool,
    /// Banned at this moment.
    pub banned: bool,
    /// The app asks for more than a password.
    pub two_factor: bool,
    /// The hash of each password account; none where the account has no hash.
    pub credentials: Vec<Option<String>>,
    /// The ids of these accounts.
    pub accounts: Vec<String>,
    /// Sessions that are alive.
    pub sessions: i64,
    /// Sessions that are over and still there.
    pub expired: i64,
}

impl Person {
    /// Whether the role is `admin`.
    pub fn is_admin(&self) -> bool {
        self.role == "admin"
    }

    /// The one password's hash. None: there is none, or more than one.
    pub fn hash(&self) -> Option<&str> {
        match self.credentials.as_slice() {
            [Some(hash)] => Some(hash),
            _ => None,
        }
    }

    fn from_row(row: &Row) -> Result<Self, Failure> {
        let bad = |error: &dyn std::error::Error| {
            Failure::unexpected("cannot read the app's users").because(error)
        };
        let read = || -> Result<Self, tokio_postgres::Error> {
            Ok(Self {
                id: row.try_get("id")?,
                email: row.try_get("email")?,
                name: row.try_get("name")?,
                role: row.try_get("role")?,
                is_master: row.try_get("is_master")?,
                created_at: row.try_get("created_at")?,
                rank: row.try_get("rank")?,
                must_change_password: row.try_get("must_change_password")?,
                banned: row.try_get("banned")?,
                two_factor: row.try_get("two_factor")?,
                credentials: Vec::new(),
                accounts: Vec::new(),
                sessions: row.try_get("sessions")?,
                expired: row.try_get("expired")?,
            })
        };
        let person = read().map_err(|error| bad(&error))?;
        let hashes: Option<&str> = row.try_get("credentials").map_err(|error| bad(&error))?;
        let both: Vec<(String, Option<String>)> = match hashes {
            None => Vec::new(),
            Some(text) => serde_json::from_str(text).map_err(|error| bad(&error))?,
        };
        let (accounts, credentials) = both.into_iter().unzip();
        Ok(Self { accounts, credentials, ..person })
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (id {})", self.email, self.id)
    }
}

/// How much is read of somebody: the rest takes a look at whole tables, for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The row of the user alone.
    Bare,
    /// The passwords' hashes as well.
    Passwords,
    /// And the sessions.
    Whole,
}

/// Those whose id or email a text may be.
pub async fn matching(
    session: &Session,
    standing: &Standing,
    depth: Depth,
    text: &str,
) -> Result<Vec<Person>, Failure> {
    let which = "u.id = $1 OR lower(u.email) = lower($1)";
    read(session, standing, depth, which, Some(text)).await
}

/// Who has the master admin's flag, which must be there.
pub async fn masters(session: &Session, standing: &Standing) -> Result<Vec<Person>, Failure> {
    read(session, standing, Depth::Bare, "u.is_master_admin", None).await
}

/// All admins.
pub async fn admins(session: &Session, standing: &Standing) -> Result<Vec<Person>, Failure> {
    read(session, standing, Depth::Bare, "concat(u.role) = 'admin'", None).await
}

/// How many admins there are.
pub async fn count_admins(session: &Session) -> Result<usize, Failure> {
    let what = "cannot count the admins";
    let sql = "SELECT count(*) FROM public.\"user\" u WHERE concat(u.role) = 'admin'";
    let rows = session.query(what, sql, &[]).await?;
    let count = rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>(0));
    let count = count.map_err(|error| Failure::unexpected(what).because(error))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The one with this id.
pub async fn by_id(
    session: &Session,
    standing: &Standing,
    depth: Depth,
    id: &str,
) -> Result<Option<Person>, Failure> {
    Ok(read(session, standing, depth, "u.id = $1", Some(id)).await?.into_iter().next())
}

/// Locks the row of one user, if there is one.
pub async fn lock(session: &Session, id: &str) -> Result<(), Failure> {
    let sql = "SELECT u.id::text FROM public.\"user\" u WHERE u.id = $1 FOR NO KEY UPDATE";
    session.query("cannot read the app's users", sql, &[(&id, Type::TEXT)]).await.map(drop)
}

/// The hashes of these accounts as they are now: found by key, in no time.
pub async fn hashes(
    session: &Session,
    accounts: &[String],
) -> Result<Vec<Option<String>>, Failure> {
    let what = "cannot read the app's passwords";
    let sql = "SELECT a.password::text FROM public.account a WHERE a.id = ANY($1) ORDER BY a.id";
    let rows = session.query(what, sql, &[(&accounts, Type::TEXT_ARRAY)]).await?;
    let hashes: Result<Vec<_>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    hashes.map_err(|error| Failure::unexpected(what).because(error))
}

const CREDENTIALS: &str = "(SELECT json_agg(json_build_array(a.id, a.password) ORDER BY a.id)::text \
      FROM public.account a WHERE a.user_id = u.id AND a.provider_id = 'credential' %ISSUER%)";
const LOCAL: &str = "AND coalesce(a.issuer, 'local:credential') = 'local:credential'";
const SESSIONS: &str = "(SELECT count(*) FROM public.session s \
      WHERE s.user_id = u.id AND %ALIVE%)";

/// The statement, which names no column that this database lacks.
fn sql(standing: &Standing, depth: Depth, which: &str) -> String {
    let yes = |column: &str| match standing.has_column(column) {
        true => format!("coalesce(u.{column}::text::boolean, false)"),
        false => "false".to_owned(),
    };
    let banned = match standing.has_column("ban_expires") {
        true => {
            let until = "coalesce(u.ban_expires::text::timestamp with time zone > now(), true)";
            format!("({} AND {until})", yes("banned"))
        }
        false => yes("banned"),
    };
    let credentials = match depth {
        Depth::Bare => "NULL::text".to_owned(),
        _ => CREDENTIALS.replace("%ISSUER%", if standing.has_issuer { LOCAL } else { "" }),
    };
    let sessions = |alive: &str| match depth {
        Depth::Whole => SESSIONS.replace("%ALIVE%", alive),
        _ => "0::bigint".to_owned(),
    };
    let text = include_str!("people.sql")
        .replace("%MASTER%", &yes("is_master_admin"))
        .replace("%MUST_CHANGE%", &yes("must_change_password"))
        .replace("%BANNED%", &banned)
        .replace("%TWO_FACTOR%", &yes("two_factor_enabled"))
        .replace("%CREDENTIALS%", &credentials)
        .replace("%SESSIONS%", &sessions("s.expires_at > now()"))
        .replace("%EXPIRED%", &sessions("s.expires_at <= now()"));
    format!("{text} {which} ORDER BY u.created_at, u.id COLLATE \"C\"")
}

async fn read(
    session: &Session,
    standing: &Standing,
    depth: Depth,
    which: &str,
    parameter: Option<&str>,
) -> Result<Vec<Person>, Failure> {
    let sql = sql(standing, depth, which);
    let what = "cannot read the app's users";
    let rows = match &parameter {
        Some(text) => session.query(what, &sql, &[(text, Type::TEXT)]).await?,
        None => session.query(what, &sql, &[]).await?,
    };
    rows.iter().map(Person::from_row).collect()
}

/// The one who is meant by `text`, of those that [`matching`] found. None: nobody.
///
/// # Errors
/// Refused where two emails differ by their case only: both are named, each with its id.
pub fn resolve<'a>(text: &str, found: &'a [Person]) -> Result<Option<&'a Person>, Failure> {
    if let Some(person) = found.iter().find(|person| person.id == text) {
        return Ok(Some(person));
    }
    match found {
        [] => Ok(None),
        [person] => Ok(Some(person)),
        several => {
            let failure = Failure::refused(format!("{text} is the email of more than one user"));
            let failure = several.iter().fold(failure, |f, person| f.because(person));
            Err(failure.hint("name the one you mean by id"))
        }
    }
}

/// As [`resolve`], where there must be somebody.
pub fn required<'a>(text: &str, found: &'a [Person]) -> Result<&'a Person, Failure> {
    resolve(text, found)?.ok_or_else(|| {
        Failure::refused(format!("there is no user with the email or id {text}"))
            .hint("markenmate admin list shows the admins")
    })
}

/// The first admin of a database without a master: the oldest account, ties by id in byte order.
/// Also those who are as old.
pub fn first(admins: &[Person]) -> Option<(&Person, Vec<&Person>)> {
    let first = admins.iter().min_by_key(|person| (person.rank, person.id.as_bytes()))?;
    let tied = admins.iter().filter(|p| p.rank == first.rank && p.id != first.id).collect();
    Some((first, tied))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: &str, email: &str) -> Person {
        Person { id: id.into(), email: email.into(), ..Person::default() }
    }

    #[test]
    fn an_id_is_meant_exactly_and_an_email_in_any_case() {
        let found = [person("a1", "Ada@Example.de")];
        assert_eq!(resolve("ada@example.DE", &found).unwrap(), Some(&found[0]));
        assert_eq!(resolve("a1", &found).unwrap(), Some(&found[0]));
        assert_eq!(resolve("x", &[]).unwrap(), None);
        assert_eq!(required("x", &[]).unwrap_err().kind.exit_code(), 4);
    }

    #[test]
    fn two_emails_that_differ_by_case_are_both_named() {
        let found = [person("a1", "ada@example.de"), person("a2", "Ada@example.de")];
        let failure = resolve("ada@example.de", &found).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 4);
        assert_eq!(failure.causes, ["ada@example.de (id a1)", "Ada@example.de (id a2)"]);
        assert_eq!(resolve("a2", &found).unwrap(), Some(&found[1]));
    }

    #[test]
    fn an_id_goes_before_an_email_that_reads_the_same() {
        let found = [person("a1", "a2"), person("a2", "ada@example.de")];
        assert_eq!(resolve("a2", &found).unwrap(), Some(&found[1]));
    }

    #[test]
    fn the_oldest_is_first_and_a_tie_goes_by_the_bytes_of_the_id() {
        let admin = |id: &str, rank| Person { rank, ..person(id, id) };
        let admins = [admin("b", 2), admin("a", 2), admin("Z", 2), admin("0", 3)];
        let (first_one, tied) = first(&admins).unwrap();
        assert_eq!(first_one.id, "Z");
        assert_eq!(tied.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(first(&admins[3..]).is_some_and(|(one, tied)| one.id == "0" && tied.is_empty()));
        assert_eq!(first(&[]), None);
    }

    #[test]
    fn a_hash_is_the_one_of_the_only_password() {
        let with = |credentials: &[Option<&str>]| Person {
            credentials: credentials.iter().map(|hash| hash.map(str::to_owned)).collect(),
            ..Person::default()
        };
        assert_eq!(with(&[Some("h")]).hash(), Some("h"));
        for none in [&[][..], &[None], &[Some("a"), Some("b")]] {
            assert_eq!(with(none).hash(), None);
        }
    }
}
