//! What is not done, and the words for it: the app's own where it has them.

use super::lockout::{self, Lock};
use super::password;
use super::people::Person;
use crate::failure::Failure;

/// Whether something may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not.
    Denied(Reason),
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The master admin is not demoted.
    Master,
    /// One admin stays.
    LastAdmin,
    /// Nobody changes their own role.
    Oneself,
    /// Who acts is no admin.
    NotAdmin,
    /// Who acts is banned.
    Banned,
    /// Who acts proves more than a password to the app.
    TwoFactor,
    /// Who acts has no password in the app.
    NoPassword,
    /// Who acts has several.
    SeveralPasswords(usize),
    /// Who acts has a password whose hash nobody here can judge.
    UnknownHash,
    /// The password was right, and is another by now.
    PasswordChanged,
    /// The password is right, and stands in the app's public source.
    SeedPassword,
    /// The password is right, and somebody else gave it.
    MustChangePassword,
    /// In a dry run: whoever it is, or is not, could not act. Which of all is not told.
    CannotAct,
    /// Nobody has that name, or the password is another: which of both is not told.
    NotAuthenticated,
    /// Too many wrong passwords.
    LockedOut(Lock),
    /// The step-up token was not there to be spent.
    TokenNotSpent,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Master => "Cannot demote the master admin. This is a protected account.",
            Self::LastAdmin => "Cannot remove the last admin. System must have at least one admin.",
            Self::Oneself => "Cannot change your own admin role. Ask another admin.",
            Self::NotAdmin => "The acting user is not an admin.",
            Self::Banned => "The acting admin is banned.",
            Self::TwoFactor => {
                "The acting admin has two-factor authentication: a password alone proves nothing."
            }
            Self::NoPassword => "The acting admin has no password in the app.",
            Self::SeveralPasswords(count) => {
                return write!(f, "The acting admin has {count} passwords in the app.");
            }
            Self::UnknownHash => {
                "The acting admin's password is stored in a form that markenmate cannot judge."
            }
            Self::PasswordChanged => "The acting admin's password was changed meanwhile.",
            Self::SeedPassword => {
                "The acting admin still has the app's seed password: anybody can have typed it."
            }
            Self::MustChangePassword => {
                "The acting admin must change the password first: somebody else made this one."
            }
            Self::CannotAct => {
                "Nobody of that name could act: no such user, no admin, or more than a password is wanted."
            }
            Self::NotAuthenticated => "There is no such user, or the password is another.",
            Self::LockedOut(Lock { until, .. }) => {
                return write!(f, "Too many wrong passwords: locked out until {until}.");
            }
            Self::TokenNotSpent => "Step-up authentication required",
        })
    }
}

impl Reason {
    /// What to do about it.
    pub const fn hints(&self) -> &'static [&'static str] {
        match self {
            Self::Master => &["to hand it on: markenmate set-master-admin USER --transfer"],
            Self::LastAdmin => &["first: markenmate admin promote USER --as ADMIN"],
            Self::Oneself | Self::NotAdmin | Self::Banned | Self::CannotAct => {
                &["name another admin by --as"]
            }
            Self::TwoFactor | Self::NoPassword | Self::SeveralPasswords(_) | Self::UnknownHash => {
                &["name another admin by --as; where there is none: --break-glass --reason TEXT"]
            }
            Self::NotAuthenticated => {
                &["five wrong passwords within 15 minutes lock out for 15 minutes"]
            }
            Self::PasswordChanged => &["run the same command again"],
            Self::SeedPassword | Self::MustChangePassword => &[
                "first: sign in to the app and change it; to act all the same: --allow-default-password",
            ],
            Self::LockedOut(_) => &LOCKED_OUT,
            Self::TokenNotSpent => &[],
        }
    }
}

/// What to do meanwhile.
pub const LOCKED_OUT: [&str; 2] = [
    "wait, or name another admin by --as",
    "where it cannot wait and there is no other: --break-glass --reason TEXT",
];

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        let mut failure = Self::refused(reason.to_string());
        match &reason {
            Reason::NotAuthenticated => failure.message += " Nothing was changed.",
            Reason::LockedOut(lock) => {
                failure.data = Some(lockout::locked_data(lock));
                failure = failure.because(lock);
            }
            _ => {}
        }
        reason.hints().iter().fold(failure, |failure, hint| failure.hint(*hint))
    }
}

/// What is to become of somebody's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleChange<'a> {
    /// Whose.
    pub target: &'a Person,
    /// An admin is to be one no longer.
    pub demotes: bool,
    /// Who changes it; none: nobody of the app.
    pub actor: Option<&'a Person>,
    /// How many admins there are.
    pub admins: usize,
}

/// The app's guards, in the app's order.
pub fn role_change(change: RoleChange<'_>) -> Verdict {
    let RoleChange { target, demotes, actor, admins } = change;
    if demotes && target.is_master {
        Verdict::Denied(Reason::Master)
    } else if demotes && target.is_admin() && admins <= 1 {
        Verdict::Denied(Reason::LastAdmin)
    } else if actor.is_some_and(|actor| actor.id == target.id) {
        Verdict::Denied(Reason::Oneself)
    } else {
        Verdict::Allowed
    }
}

/// That somebody has one of the two roles that are changed here.
///
/// # Errors
/// Refused: a role that a later version of the app brings.
pub fn known_role(person: &Person) -> Result<(), Failure> {
    match person.role.as_str() {
        "user" | "admin" => Ok(()),
        other => Err(Failure::refused(format!("{} has the role {other}", person.email))
            .because("only user and admin are changed into one another")
            .hint("change it in the app")),
    }
}

/// Whether somebody's password can be judged: kept in the ledger, and told to nobody.
pub fn judgeable(actor: &Person) -> Verdict {
    Verdict::Denied(match actor.credentials.as_slice() {
        [Some(hash)] if password::is_known_format(hash) => return Verdict::Allowed,
        [Some(_)] => Reason::UnknownHash,
        [] | [None] => Reason::NoPassword,
        several => Reason::SeveralPasswords(several.len()),
    })
}

/// Whether who has proved to be that user may act: told only to them.
pub fn acting(actor: &Person) -> Verdict {
    if !actor.is_admin() {
        Verdict::Denied(Reason::NotAdmin)
    } else if actor.banned {
        Verdict::Denied(Reason::Banned)
    } else if actor.two_factor {
        Verdict::Denied(Reason::TwoFactor)
    } else {
        Verdict::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "000102030405060708090a0b0c0d0e0f:3e0919938b5e2b36382eb5a81c23ab15482d02c6a9e295451ff69530660a61b2ca15c113ee385e40a1a76b9345e7d3d519fe53b60d2786758802d888ceb009d1";

    fn admin(id: &str) -> Person {
        Person {
            id: id.into(),
            role: "admin".into(),
            credentials: vec![Some(HASH.into())],
            ..Person::default()
        }
    }

    #[test]
    fn the_apps_guards_in_the_apps_order() {
        let (actor, other) = (admin("actor"), admin("other"));
        let master = Person { is_master: true, ..admin("actor") };
        let user = Person { role: "user".into(), ..admin("user") };
        let denied = |target, demotes, admins| match role_change(RoleChange {
            target,
            demotes,
            actor: Some(&actor),
            admins,
        }) {
            Verdict::Allowed => None,
            Verdict::Denied(reason) => Some(reason),
        };
        // The master admin, the last one and oneself at once: the first word counts.
        assert_eq!(denied(&master, true, 1), Some(Reason::Master));
        assert_eq!(denied(&actor, true, 1), Some(Reason::LastAdmin));
        assert_eq!(denied(&actor, true, 2), Some(Reason::Oneself));
        assert_eq!(denied(&other, true, 1), Some(Reason::LastAdmin));
        assert_eq!(denied(&other, true, 2), None);
        assert_eq!(denied(&user, false, 1), None);
    }

    #[test]
    fn who_breaks_the_glass_is_still_held_by_the_guards() {
        let (plain, master) = (admin("a"), Person { is_master: true, ..admin("m") });
        let demote =
            |target, admins| role_change(RoleChange { target, demotes: true, actor: None, admins });
        assert_eq!(demote(&master, 5), Verdict::Denied(Reason::Master));
        assert_eq!(demote(&plain, 1), Verdict::Denied(Reason::LastAdmin));
        assert_eq!(demote(&plain, 2), Verdict::Allowed);
    }

    #[test]
    fn a_password_is_judged_where_there_is_exactly_one() {
        let with = |credentials: Vec<Option<&str>>| {
            let credentials = credentials.into_iter().map(|c| c.map(str::to_owned)).collect();
            judgeable(&Person { credentials, ..admin("a") })
        };
        assert_eq!(with(vec![Some(HASH)]), Verdict::Allowed);
        assert_eq!(with(vec![]), Verdict::Denied(Reason::NoPassword));
        assert_eq!(with(vec![None]), Verdict::Denied(Reason::NoPassword));
        assert_eq!(with(vec![Some(HASH), None]), Verdict::Denied(Reason::SeveralPasswords(2)));
        assert_eq!(with(vec![Some("$2b$12$x")]), Verdict::Denied(Reason::UnknownHash));
    }

    #[test]
    fn only_an_admin_who_is_let_in_by_a_password_acts() {
        assert_eq!(acting(&admin("a")), Verdict::Allowed);
        let banned = Person { banned: true, ..admin("a") };
        assert_eq!(acting(&banned), Verdict::Denied(Reason::Banned));
        let two_factor = Person { two_factor: true, ..admin("a") };
        assert_eq!(acting(&two_factor), Verdict::Denied(Reason::TwoFactor));
        let user = Person { role: "user".into(), ..banned };
        assert_eq!(acting(&user), Verdict::Denied(Reason::NotAdmin));
    }
}
