//! Who runs the server: PostgreSQL refuses to run as root.

use std::process::Command;

use crate::failure::Failure;

/// A user other than root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account to change to: none where we are not root, else `postgres` or `nobody`.
    pub(super) fn unprivileged() -> Result<Option<Self>, Failure> {
        if id(&["-u"]) != Some(0) {
            return Ok(None);
        }
        let found = ["postgres", "nobody"].into_iter().find_map(Self::named);
        found.map(Some).ok_or_else(|| {
            Failure::refused("PostgreSQL does not run as root, and there is no user to run it as")
                .hint("run this as another user, or make one: useradd --system postgres")
        })
    }

    fn named(name: &str) -> Option<Self> {
        let account = Self { uid: id(&["-u", name])?, gid: id(&["-g", name])? };
        (account.uid != 0).then_some(account)
    }
}

/// What `id` says: the way to a uid that also knows directory services.
fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    // macOS calls nobody -2.
    let number: i64 = text.trim().parse().ok()?;
    u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_no_account() {
        assert_eq!(Account::named("no-such-user-here"), None);
        assert_eq!(Account::named("root"), None);
    }
}
