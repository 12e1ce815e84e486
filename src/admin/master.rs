//! Who becomes the master admin, who must agree, and what speaks against it.

use secrecy::SecretString;

use super::password::{self, Verdict};
use super::people::{self, Depth, Person};
use super::standing::Standing;
use crate::db::session::Session;
use crate::failure::Failure;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Id or email; none: the first admin.
    pub user: Option<String>,
    /// Somebody else has it, and hands it on.
    pub transfer: bool,
    /// Also an account whose password everybody knows.
    pub allow_default_password: bool,
    /// Also an admin who cannot sign in.
    pub allow_no_login: bool,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who has the flag.
    pub masters: Vec<Person>,
    /// All admins, where the first is looked for.
    pub admins: Vec<Person>,
    /// Whom the wish may mean.
    pub found: Vec<Person>,
}

impl Seen {
    /// Reads it in the open transaction: rows of users alone.
    pub async fn read(
        session: &Session,
        standing: &Standing,
        wish: &Wish,
    ) -> Result<Self, Failure> {
        let (admins, found) = match &wish.user {
            Some(text) => {
                (Vec::new(), people::matching(session, standing, Depth::Bare, text).await?)
            }
            None => (people::admins(session, standing).await?, Vec::new()),
        };
        Ok(Self { masters: people::masters(session, standing).await?, admins, found })
    }
}

/// Their ids, in order.
pub fn ids(people: &[Person]) -> Vec<String> {
    let mut ids: Vec<_> = people.iter().map(|person| person.id.clone()).collect();
    ids.sort_unstable();
    ids
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Somebody has it already, and alone.
    Already(Person),
    /// The flag moves.
    Set {
        /// To whom.
        target: Person,
        /// As old as the target, where the oldest was looked for.
        tied: Vec<Person>,
        /// Who has it now, besides the target.
        previous: Vec<Person>,
    },
}

/// Who is to have it. Pure; [`check`] says whether they may.
///
/// # Errors
/// Refused: no admin, a user who is none, a master who was not asked to hand it on.
pub fn decide(seen: &Seen, wish: &Wish) -> Result<Decision, Failure> {
    let (target, tied) = match &wish.user {
        Some(text) => (people::required(text, &seen.found)?.clone(), Vec::new()),
        None => return first(seen),
    };
    let previous: Vec<Person> =
        seen.masters.iter().filter(|master| master.id != target.id).cloned().collect();
    if target.is_master && target.is_admin() && previous.is_empty() {
        return Ok(Decision::Already(target));
    }
    if !target.is_admin() {
        return Err(Failure::refused(format!("{} is not an admin", target.email))
            .because("the master admin must be one")
            .hint("first: markenmate admin promote USER --as ADMIN"));
    }
    if !previous.is_empty() && !wish.transfer {
        return Err(taken(&previous));
    }
    Ok(Decision::Set { target, tied, previous })
}

/// The first admin, where nobody has it.
fn first(seen: &Seen) -> Result<Decision, Failure> {
    match seen.masters.as_slice() {
        [] => {
            let (target, tied) = people::first(&seen.admins).ok_or_else(|| {
                Failure::refused("No admin found. Create an admin first.").hint(
                    "sign up in the app, then: markenmate admin promote USER --break-glass --reason TEXT",
                )
            })?;
            let tied = tied.into_iter().cloned().collect();
            Ok(Decision::Set { target: target.clone(), tied, previous: Vec::new() })
        }
        [master] if master.is_admin() => Ok(Decision::Already(master.clone())),
        [master] => Err(Failure::refused(format!("the master admin is not an admin: {master}"))
            .hint("an admin is to have it: markenmate set-master-admin USER --transfer --break-glass --reason TEXT")),
        several => {
            let failure = Failure::refused("there is more than one master admin");
            let failure = several.iter().fold(failure, |f, master| f.because(master));
            Err(failure.hint("one of them is to stay: markenmate set-master-admin USER --transfer"))
        }
    }
}

fn taken(previous: &[Person]) -> Failure {
    let failure = Failure::refused("there is a master admin already");
    let failure = previous.iter().fold(failure, |f, master| f.because(master));
    failure.hint("to hand it on: markenmate set-master-admin USER --transfer")
}

/// Whether the target may be trusted with it; `seeded`: what [`has_seed_password`] said.
///
/// # Errors
/// Refused: the app's seed password, one that must be changed, no way to sign in; unless told.
pub fn check(target: &Person, wish: &Wish, seeded: bool) -> Result<(), Failure> {
    let unless = |what: &str, why: &str, hint: &str, flag: &str| {
        Err(Failure::refused(format!("{} {what}", target.email))
            .because(why)
            .hint(hint)
            .hint(format!("to do it all the same: {flag}")))
    };
    let cannot_sign_in = target.banned || target.credentials.iter().all(Option::is_none);
    if cannot_sign_in && !wish.allow_no_login {
        let what = if target.banned { "is banned" } else { "has no password in the app" };
        let why = "a master admin who cannot sign in can neither act nor hand it on";
        return unless(what, why, "name another admin", "--allow-no-login");
    }
    if wish.allow_default_password {
        return Ok(());
    }
    let flag = "--allow-default-password";
    let change = "first: sign in to the app with that account and change its password";
    if seeded {
        let why = "it stands in the app's public source: anybody can sign in";
        return unless("still has the app's seed password", why, change, flag);
    }
    if target.must_change_password {
        let why = "the app asks for another one at the next sign-in: somebody else made this one";
        return unless("must change the password first", why, change, flag);
    }
    Ok(())
}

/// Whether the app's seed password opens that account. Takes the time of one scrypt for each hash.
///
/// # Errors
/// No memory for it.
pub fn has_seed_password(target: &Person) -> Result<bool, Failure> {
    let seed = SecretString::from(password::SEED);
    for hash in target.credentials.iter().flatten() {
        if password::judge(&seed, hash)? == Verdict::Right {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which of the present masters hands it on; `named` is who was found for `--as`.
///
/// # Errors
/// Refused: several and none named, or somebody named who has it not.
pub fn handing_on<'a>(
    previous: &'a [Person],
    all: &'a [Person],
    named: Option<&Person>,
) -> Result<Option<&'a Person>, Failure> {
    let one_of = |failure: Failure| all.iter().fold(failure, |f, master| f.because(master));
    match (previous, named) {
        ([], _) => Ok(None),
        (_, Some(named)) => match all.iter().find(|master| master.id == named.id) {
            Some(master) => Ok(Some(master)),
            None => {
                Err(one_of(Failure::refused(format!("{} is not the master admin", named.email)))
                    .hint("the present one hands it on: name them by --as, or leave it out"))
            }
        },
        _ => match all {
            [only] => Ok(Some(only)),
            _ => Err(one_of(Failure::refused("there is more than one master admin"))
                .hint("one of them must agree: name them by --as")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(id: &str, rank: i64) -> Person {
        Person {
            id: id.into(),
            email: format!("{id}@x"),
            role: "admin".into(),
            rank,
            ..Person::default()
        }
    }

    fn master(id: &str, rank: i64) -> Person {
        Person { is_master: true, ..admin(id, rank) }
    }

    fn wish(user: Option<&str>, transfer: bool) -> Wish {
        Wish { user: user.map(str::to_owned), transfer, ..Wish::default() }
    }

    fn seen(people: &[Person], found: Option<&Person>) -> Seen {
        Seen {
            masters: people.iter().filter(|p| p.is_master).cloned().collect(),
            admins: people.iter().filter(|p| p.is_admin()).cloned().collect(),
            found: found.cloned().into_iter().collect(),
        }
    }

    #[test]
    fn without_a_name_the_oldest_and_the_tie_is_kept() {
        let people = [admin("b", 1), admin("a", 1), admin("c", 2)];
        let Ok(Decision::Set { target, tied, previous }) =
            decide(&seen(&people, None), &wish(None, false))
        else {
            panic!()
        };
        assert_eq!((target.id.as_str(), tied.len(), previous.len()), ("a", 1, 0));
        let nobody = decide(&Seen::default(), &wish(None, false)).unwrap_err();
        assert_eq!(nobody.message, "No admin found. Create an admin first.");
    }

    #[test]
    fn who_has_it_already_keeps_it() {
        let people = [admin("a", 1), master("m", 2)];
        for user in [None, Some("m")] {
            let already = decide(&seen(&people, Some(&people[1])), &wish(user, false)).unwrap();
            assert_eq!(already, Decision::Already(people[1].clone()));
        }
    }

    #[test]
    fn a_second_master_takes_a_transfer() {
        let people = [admin("a", 1), master("m", 2)];
        let seen = seen(&people, Some(&people[0]));
        let refused = decide(&seen, &wish(Some("a"), false)).unwrap_err();
        assert!(refused.hints[0].contains("--transfer"), "{refused:?}");
        let Ok(Decision::Set { previous, .. }) = decide(&seen, &wish(Some("a"), true)) else {
            panic!()
        };
        assert_eq!(previous, [people[1].clone()]);
    }

    #[test]
    fn of_two_masters_one_is_named_to_stay() {
        let people = [master("m", 1), master("n", 2)];
        let both = seen(&people, Some(&people[0]));
        assert!(decide(&both, &wish(None, false)).unwrap_err().hints[0].contains("--transfer"));
        assert!(decide(&both, &wish(Some("m"), false)).is_err());
        let Ok(Decision::Set { previous, .. }) = decide(&both, &wish(Some("m"), true)) else {
            panic!()
        };
        assert_eq!(previous, [people[1].clone()]);
        // Either may agree, but one must be named.
        assert!(handing_on(&previous, &people, None).is_err());
        let agreed = handing_on(&previous, &people, Some(&people[0])).unwrap();
        assert_eq!(agreed, Some(&people[0]));
        assert!(handing_on(&previous, &people, Some(&admin("x", 3))).is_err());
        assert_eq!(handing_on(&[], &[], None).unwrap(), None);
        assert_eq!(handing_on(&people[..1], &people[..1], None).unwrap(), Some(&people[0]));
    }

    #[test]
    fn who_is_no_admin_is_refused() {
        let user = Person { role: "user".into(), ..admin("u", 1) };
        assert!(decide(&seen(&[], Some(&user)), &wish(Some("u"), true)).is_err());
        let fallen = Person { role: "user".into(), ..master("f", 1) };
        let refused = decide(&seen(&[fallen], None), &wish(None, false)).unwrap_err();
        assert!(refused.hints[0].contains("--break-glass"), "{refused:?}");
    }

    #[test]
    fn an_account_that_anybody_or_nobody_can_use_is_refused_unless_told() {
        let salt = "6d61726b656e6d6174652d73616d706c";
        let seed = "534b89d0c88447efaf770e2387e22214a60a3fbea09ded39df8e894c83270fd78badb538a8ca84ff21808572d967aed5857ec40209262dae9380edf0408048f8";
        let with = |hash: Option<&str>| Person {
            credentials: hash.map(|h| Some(h.to_owned())).into_iter().collect(),
            ..admin("a", 1)
        };
        let seeded = with(Some(&format!("{salt}:{seed}")));
        let foreign = with(Some("$2b$12$x"));
        let must_change = Person { must_change_password: true, ..foreign.clone() };
        let banned = Person { banned: true, ..foreign.clone() };
        let check = |target: &Person, wish: &Wish| {
            super::check(target, wish, has_seed_password(target).unwrap())
        };
        let plain = Wish::default();
        assert!(check(&foreign, &plain).is_ok());
        for refused in [&seeded, &must_change, &banned, &with(None)] {
            assert_eq!(check(refused, &plain).unwrap_err().kind.exit_code(), 4, "{refused:?}");
        }
        let default = Wish { allow_default_password: true, ..Wish::default() };
        assert!(check(&seeded, &default).is_ok() && check(&must_change, &default).is_ok());
        assert!(check(&banned, &default).is_err() && check(&with(None), &default).is_err());
        let no_login = Wish { allow_no_login: true, ..Wish::default() };
        assert!(check(&banned, &no_login).is_ok() && check(&with(None), &no_login).is_ok());
        assert!(check(&seeded, &no_login).is_err());
    }
}
