//! Users of the app, and which of them somebody meant.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::session::Session;
use crate::failure::Failure;

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
    /// Sessions that are alive.
    pub sessions: i64,
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
                sessions: row.try_get("sessions")?,
            })
        };
        let person = read().map_err(|error| bad(&error))?;
        let hashes: Option<&str> = row.try_get("credentials").map_err(|error| bad(&error))?;
        let credentials = match hashes {
            None => Vec::new(),
            Some(text) => serde_json::from_str(text).map_err(|error| bad(&error))?,
        };
        Ok(Self { credentials, ..person })
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (id {})", self.email, self.id)
    }
}

/// Those whose id or email a text may be.
pub async fn matching(session: &Session, text: &str) -> Result<Vec<Person>, Failure> {
    read(session, "u.id = $1 OR lower(u.email) = lower($1)", Some(text)).await
}

/// Who has the master admin's flag, which must be there.
pub async fn masters(session: &Session) -> Result<Vec<Person>, Failure> {
    read(session, "u.is_master_admin", None).await
}

/// All admins.
pub async fn admins(session: &Session) -> Result<Vec<Person>, Failure> {
    read(session, "u.role = 'admin'", None).await
}

/// The one with this id.
pub async fn by_id(session: &Session, id: &str) -> Result<Option<Person>, Failure> {
    Ok(read(session, "u.id = $1", Some(id)).await?.into_iter().next())
}

/// Whether there is any session of this user, alive or not.
pub async fn has_sessions(session: &Session, id: &str) -> Result<bool, Failure> {
    let sql = "SELECT FROM public.session WHERE user_id = $1 LIMIT 1";
    let rows = session.query("cannot read the app's sessions", sql, &[(&id, Type::TEXT)]).await?;
    Ok(!rows.is_empty())
}

async fn read(
    session: &Session,
    which: &str,
    parameter: Option<&str>,
) -> Result<Vec<Person>, Failure> {
    let sql =
        format!("{} {which} ORDER BY u.created_at, u.id COLLATE \"C\"", include_str!("people.sql"));
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
