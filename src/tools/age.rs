//! The `age` program: encrypts to a recipient, decrypts with an identity. Streams only.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::failure::Failure;
use crate::settings::Env;

/// What ages are called by their names.
pub const EXTENSION: &str = "age";

/// The program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age {
    path: PathBuf,
}

impl Age {
    /// Finds it in `PATH`.
    ///
    /// # Errors
    /// Refused where it is not there, with what to install.
    pub fn find(env: &Env) -> Result<Self, Failure> {
        let path = env.path().into_iter().map(|dir| dir.join("age")).find(|path| path.is_file());
        path.map(|path| Self { path }).ok_or_else(|| {
            Failure::refused("age was not found: it encrypts and decrypts backups")
                .hint("Debian and Ubuntu: apt-get install age")
                .hint("macOS: brew install age")
        })
    }

    /// Reads a recipient: `age1…`, or an SSH public key.
    ///
    /// # Errors
    /// It is none; above all it may be a secret.
    pub fn recipient(text: &str) -> Result<String, String> {
        if text.starts_with("AGE-SECRET-KEY-") {
            return Err("this is a secret key: a recipient begins with age1".into());
        }
        let known = ["age1", "ssh-ed25519 ", "ssh-rsa "];
        match known.iter().any(|begin| text.starts_with(begin)) && !text.contains('\n') {
            true => Ok(text.to_owned()),
            false => {
                Err("a recipient begins with age1, ssh-ed25519 or ssh-rsa; age-keygen makes one"
                    .into())
            }
        }
    }

    /// From stdin to stdout.
    pub fn encrypt(&self, recipients: &[String]) -> Command {
        let mut command = self.command();
        command.arg("--encrypt");
        for recipient in recipients {
            command.arg("--recipient").arg(recipient);
        }
        command
    }

    /// From stdin to stdout.
    pub fn decrypt(&self, identity: &Path) -> Command {
        let mut command = self.command();
        command.arg("--decrypt").arg("--identity").arg(identity);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_no_recipient() {
        assert!(Age::recipient("age1qqq").is_ok());
        assert!(Age::recipient("ssh-ed25519 AAAA me").is_ok());
        assert!(Age::recipient("AGE-SECRET-KEY-1QQ").unwrap_err().contains("secret"));
        assert!(Age::recipient("me@example.org").is_err());
    }
}
