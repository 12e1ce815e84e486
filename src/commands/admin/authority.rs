//! Who acts: a user of the app who proves it, or the glass is broken.

use crate::admin::change::Authority;
use crate::admin::guards::{self, Reason, Verdict};
use crate::admin::lockout::{self, Miss};
use crate::admin::master;
use crate::admin::people::Person;
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::pipeline;

/// The flags that say who acts.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The admin who acts, by email or id; the password in the app is asked for
    #[arg(long = "as", value_name = "ADMIN", value_parser = user)]
    pub acting: Option<String>,
    /// Read that password from standard input instead of the terminal
    #[arg(long)]
    pub admin_password_stdin: bool,
    /// Also an account that still has the app's seed password, or must change its password
    #[arg(long)]
    pub allow_default_password: bool,
    /// Act without any admin, where nobody can sign in: --reason says why, and guards hold all the same
    #[arg(long, conflicts_with_all = ["acting", "admin_password_stdin"])]
    pub break_glass: bool,
}

/// Reads an email or an id.
pub fn user(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("an email or an id is wanted".into()),
        text if text.contains('\0') => Err("an email or an id has no NUL in it".into()),
        text => Ok(text.to_owned()),
    }
}

impl Args {
    /// `--reason`, which broken glass wants, and a pipe where a password is to be read from one: both known
    /// before anything is asked.
    ///
    /// # Errors
    /// A wrong command line (2).
    pub fn check(&self, cx: &Context) -> Result<(), Failure> {
        if self.break_glass && self.reason(cx).is_empty() {
            return Err(Failure::usage("--break-glass wants a reason")
                .hint("say why no admin of the app can do it: --reason TEXT; it is kept"));
        }
        if self.admin_password_stdin && !cx.settings.dry_run {
            cx.console.can_read_password()?;
        }
        Ok(())
    }

    fn reason(&self, cx: &Context) -> String {
        cx.settings.reason.as_deref().unwrap_or_default().trim().to_owned()
    }

    /// Refused where a password will be wanted that nobody can type.
    ///
    /// # Errors
    /// Refused (4), with the flag that helps.
    pub fn can_ask(&self, cx: &Context) -> Result<(), Failure> {
        if self.admin_password_stdin || cx.console.is_interactive() || cx.settings.dry_run {
            return Ok(());
        }
        Err(Failure::refused(
            "the acting admin's password is wanted, and there is no terminal to ask on",
        )
        .hint("to give it by standard input: --admin-password-stdin --yes"))
    }

    /// The authority, its password asked for where somebody of the app acts.
    ///
    /// # Errors
    /// No answer.
    pub async fn prove(
        &self,
        cx: &Context,
        typed: &str,
        id: Option<String>,
    ) -> Result<Authority, Failure> {
        if self.break_glass {
            return Ok(Authority::BreakGlass { reason: self.reason(cx) });
        }
        let password = if self.admin_password_stdin {
            pipeline::asked(cx, crate::console::Console::read_password).await?
        } else {
            let question = format!("Password of {typed} in the app");
            pipeline::asked(cx, move |console| console.ask_password(&question)).await?
        };
        let allow_default_password = self.allow_default_password;
        Ok(Authority::Actor { typed: typed.to_owned(), id, password, allow_default_password })
    }

    /// For a dry run, and where a password will be asked for: what counts against who would act; read in the
    /// open transaction.
    ///
    /// # Errors
    /// The server's.
    pub async fn misses(
        &self,
        cx: &Context,
        session: &Session,
        typed: &str,
        actor: Option<&Person>,
    ) -> Result<Vec<Miss>, Failure> {
        match actor {
            _ if !cx.settings.dry_run && !cx.console.is_interactive() => Ok(Vec::new()),
            Some(actor) => lockout::misses(session, &actor.id).await,
            None => lockout::misses_of_nobody(session, typed).await,
        }
    }

    /// That who would act is locked out already: nobody is asked for a password that will not be judged.
    /// Attempts that are under way may be right yet.
    ///
    /// # Errors
    /// Refused (4).
    pub fn locked(&self, misses: &[Miss]) -> Result<(), Failure> {
        match lockout::lock(misses).filter(|_| !lockout::is_open(misses)) {
            Some(lock) => Err(Reason::LockedOut(lock).into()),
            None => Ok(()),
        }
    }

    /// With broken glass the next command breaks it as well.
    pub fn hinted(&self, mut failure: Failure) -> Failure {
        if self.break_glass {
            failure.hints.iter_mut().for_each(|hint| *hint = through_glass(hint));
        }
        failure
    }

    /// For a dry run: why who is named could not act, as far as it is told without a password.
    ///
    /// # Errors
    /// A signal came.
    pub async fn foresee(
        &self,
        cx: &Context,
        actor: Option<&Person>,
        misses: &[Miss],
    ) -> Result<Option<Reason>, Failure> {
        if let Some(lock) = lockout::lock(misses) {
            return Ok(Some(Reason::LockedOut(lock)));
        }
        let able = |actor: &&Person| {
            guards::judgeable(actor) == Verdict::Allowed
                && guards::acting(actor) == Verdict::Allowed
                && (self.allow_default_password || !actor.must_change_password)
        };
        let Some(actor) = actor.filter(able) else { return Ok(Some(Reason::CannotAct)) };
        let seeded = !self.allow_default_password && seeded(cx, actor).await?;
        Ok(seeded.then_some(Reason::CannotAct))
    }
}

/// Whether the app's seed password opens an account; looked at on a thread of its own.
///
/// # Errors
/// A signal came.
pub async fn seeded(cx: &Context, person: &Person) -> Result<bool, Failure> {
    let person = person.clone();
    cx.interrupt.during(move || master::has_seed_password(&person)).await?
}

/// Who acts, as it stands on the screen.
pub fn shown(args: &Args, acting: Option<&str>) -> String {
    match acting {
        _ if args.break_glass => "nobody of the app: the glass is broken".into(),
        Some(typed) => format!("{typed}, by password"),
        None => "whoever may write into this database".into(),
    }
}

/// The id of who was found, where anybody was.
pub fn id(person: Option<&Person>) -> Option<String> {
    person.map(|person| person.id.clone())
}

/// A hint whose command acts without any admin.
fn through_glass(hint: &str) -> String {
    const GLASS: &str = "--break-glass --reason TEXT";
    if hint.contains("--break-glass") {
        return hint.to_owned();
    }
    let named = hint.replace("--as ADMIN", GLASS).replace("--as ONE_OF_THEM", GLASS);
    match named.contains(GLASS) {
        true => named,
        false => named.replace("--transfer", &format!("--transfer {GLASS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_glass_stays_broken_in_hints() {
        for (hint, shown) in [
            (
                "to hand it on: markenmate set-master-admin USER --transfer",
                "to hand it on: markenmate set-master-admin USER --transfer --break-glass --reason TEXT",
            ),
            (
                "first: markenmate admin promote USER --as ADMIN",
                "first: markenmate admin promote USER --break-glass --reason TEXT",
            ),
            ("run the same command again", "run the same command again"),
            (
                "markenmate set-master-admin USER --transfer --break-glass --reason TEXT",
                "markenmate set-master-admin USER --transfer --break-glass --reason TEXT",
            ),
        ] {
            assert_eq!(through_glass(hint), shown);
        }
    }
}
