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
    /// `--reason`, which broken glass wants.
    ///
    /// # Errors
    /// A wrong command line (2).
    pub fn check(&self, cx: &Context) -> Result<(), Failure> {
        if self.break_glass && self.reason(cx).is_empty() {
            return Err(Failure::usage("--break-glass wants a reason")
                .hint("say why no admin of the app can do it: --reason TEXT; it is kept"));
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

    /// For a dry run: what counts against who would act; read in the open transaction.
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
            _ if !cx.settings.dry_run => Ok(Vec::new()),
            Some(actor) => lockout::misses(session, &actor.id).await,
            None => lockout::misses_of_nobody(session, typed).await,
        }
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
        if let Some(until) = lockout::locked_until(misses) {
            return Ok(Some(Reason::LockedOut { until: until.to_owned() }));
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
