//! What `verify` tries beside reading: the guards themselves (`--probe`), and the running application
//! (`--app-url`).

use std::path::Path;

use crate::checks::app::{self, Cookie};
use crate::checks::probe;
use crate::checks::registry::{Check, Source};
use crate::checks::verdict::Verdict;
use crate::context::Context;
use crate::db::catalogue::{Catalogue, Difference, compare};
use crate::db::locks::Wanted;
use crate::db::patience::{Patience, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::registry;
use crate::migrations::survey::Survey;
use crate::plan::Risk;
use crate::report::Block;
use crate::tools::http::Application;

use super::Args;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Live {
    probe: bool,
    app: Option<Application>,
    cookie: Option<Cookie>,
    /// The name of the database.
    database: String,
    /// Why nothing can be written here.
    unwritable: Option<String>,
}

impl Live {
    /// As the flags say.
    ///
    /// # Errors
    /// Usage (exit 2): no address, no cookie.
    pub(super) fn of(args: &Args, cx: &Context, session: &Session) -> Result<Self, Failure> {
        let app = args.app_url.as_deref().map(Application::at).transpose()?;
        let cookie = args.app_cookie_file.as_deref().map(cookie).transpose()?;
        if cookie.is_some() && app.as_ref().is_some_and(Application::is_in_clear) {
            cx.console.insist("warning: the cookie travels in clear to another machine (https://)");
        }
        let unwritable = session.facts.check_writable().err().map(|failure| failure.message);
        let database = session.facts.database.clone();
        Ok(Self { probe: args.probe, app, cookie, database, unwritable })
    }

    /// What a check may cost.
    pub(super) fn risk(&self, check: &Check) -> Risk {
        let guarded = app::GUARDED.contains(&check.id);
        let writes = match check.source {
            Source::Probe(_) => self.probe,
            Source::App => guarded && self.app.is_some() && self.cookie.is_some(),
            _ => false,
        };
        if writes && self.unwritable.is_none() { Risk::Additive } else { Risk::ReadOnly }
    }

    /// What is read before the question, and the question.
    pub(super) fn screen(&self, checks: &[&'static Check]) -> (Vec<Block>, String) {
        let additive = |wanted: fn(&Source) -> bool| {
            checks.iter().any(|c| wanted(&c.source) && self.risk(c) == Risk::Additive)
        };
        let mut screen = Vec::new();
        let mut questions = Vec::new();
        if additive(|source| matches!(source, Source::Probe(_))) {
            screen.push(Block::Text(
                "--probe writes rows of its own and takes everything back; the rows of the admins are locked \
                 meanwhile, for some milliseconds"
                    .into(),
            ));
            questions.push("Try the guards".to_owned());
        }
        if additive(|source| *source == Source::App) {
            screen.push(Block::Text(
                "--app-cookie-file: the application is asked to demote admins, which the database refuses as well, \
                 if it is its own; a step-up token is made for the cookie's user, and deleted"
                    .into(),
            ));
            let url = self.app.as_ref().map(|app| app.url("")).unwrap_or_default();
            questions
                .push(format!("Ask the application at {url}, which works on {:?}", self.database));
        }
        (screen, format!("{}?", questions.join(" and ").replace("and Ask", "and ask")))
    }

    /// Tries what is asked for among `checks`; says of the rest why it is not.
    pub(super) async fn verdicts(
        &self,
        cx: &Context,
        session: &Session,
        checks: &[&'static Check],
        version: i32,
        survey: &Survey,
    ) -> Result<Vec<Verdict>, Failure> {
        let nothing = Catalogue::default();
        let catalogue = survey.catalogue.as_ref().unwrap_or(&nothing);
        let mut verdicts = Vec::new();
        let mut asked = Vec::new();
        for check in checks.iter().copied() {
            let reason = match check.source {
                Source::Probe(_) if !self.probe => Some(probe::NOT_ASKED.to_owned()),
                Source::App if self.app.is_none() => Some(app::NOT_ASKED.to_owned()),
                Source::Probe(_) if self.unwritable.is_some() => self.unwritable.clone(),
                Source::Probe(_) | Source::App => {
                    check.requires.missing(version, i32::MAX, catalogue)
                }
                Source::Sql(_) | Source::Statements(_) | Source::Computed => continue,
            };
            match reason {
                // It was asked for, and this is no place for it.
                Some(reason) if self.probe && self.unwritable.as_ref() == Some(&reason) => {
                    verdicts.push(Verdict::denied(check, reason));
                }
                Some(reason) => verdicts.push(Verdict::skipped(check, reason)),
                None => asked.push(check),
            }
        }
        verdicts.extend(probes(cx, session, &asked, survey, catalogue).await?);
        if let Some(app) = &self.app {
            let mut tried = self.application(cx, session, app, &asked, survey, catalogue).await?;
            for verdict in tried.iter_mut().filter(|verdict| verdict.reason.is_some()) {
                verdict.denied |= self.cookie.is_some() && verdict.reason == self.unwritable;
            }
            verdicts.extend(tried);
        }
        Ok(verdicts)
    }

    async fn application(
        &self,
        cx: &Context,
        session: &Session,
        app: &Application,
        asked: &[&'static Check],
        survey: &Survey,
        catalogue: &Catalogue,
    ) -> Result<Vec<Verdict>, Failure> {
        let first = app::run(app, self.cookie.as_ref(), asked, &cx.interrupt).await?;
        let ground = app::Ground {
            session,
            interrupt: &cx.interrupt,
            console: &cx.console,
            max_wait: cx.settings.max_wait,
            origin: &cx.origin(),
            owner: owner(survey),
            obstacle: first.obstacle.map(str::to_owned).or_else(|| self.unwritable.clone()),
            unguarded: unguarded(catalogue),
        };
        let mut verdicts = first.verdicts;
        verdicts.extend(app::run_guarded(app, self.cookie.as_ref(), asked, &ground).await?);
        Ok(verdicts)
    }
}

async fn probes(
    cx: &Context,
    session: &Session,
    asked: &[&'static Check],
    survey: &Survey,
    catalogue: &Catalogue,
) -> Result<Vec<Verdict>, Failure> {
    if let Some(difference) = foreign_code(catalogue) {
        let probes = asked.iter().filter(|check| matches!(check.source, Source::Probe(_)));
        return Ok(probes.map(|check| untried(check, &difference)).collect());
    }
    let ground = probe::Ground {
        owner: owner(survey),
        guarded: catalogue.tables.values().any(|table| !table.triggers.is_empty()),
    };
    let limit = cx.settings.max_wait;
    let patience = Patience::new(session, &cx.console, &cx.interrupt, &probe::TABLES, limit)
        .wanting(Wanted::Rows);
    let tried = patience.exercise(async |attempt| {
        probe::run(session, asked, ground, attempt).await.map_err(Setback::from)
    });
    Ok(tried.await?.value)
}

/// A function of ours that is not what we made: SET ROLE is no boundary to what would run, and a
/// superuser's rights are more than its owner's.
fn foreign_code(catalogue: &Catalogue) -> Option<Difference> {
    let mut ours = Catalogue::default();
    ours.functions.clone_from(&registry::find(registry::GUARDS)?.contract().functions);
    ours.functions.retain(|name, _| catalogue.functions.contains_key(name));
    compare(&ours, catalogue).into_iter().next()
}

fn untried(check: &'static Check, difference: &Difference) -> Verdict {
    let Difference { subject, detail, .. } = difference;
    let detail = format!("{detail}: nothing was tried, it would run as whoever runs this");
    let remedy = Some("markenmate verify --only contract".to_owned());
    Verdict::found(check, vec![check.finding(subject.clone(), detail, remedy)])
}

/// The owner of the application's tables, where we may become it and are not.
pub(super) fn owner(survey: &Survey) -> Option<&str> {
    let rights = &survey.rights;
    let owner = rights.table_owner.as_deref()?;
    (rights.becomes_table_owner && owner != rights.user).then_some(owner)
}

/// What of the newest version's guards is not as it should be: nobody but the application would keep
/// its admins.
fn unguarded(catalogue: &Catalogue) -> Option<String> {
    let guards = registry::find(registry::GUARDS)?.additions();
    let Difference { subject, detail, .. } = compare(&guards, catalogue).into_iter().next()?;
    Some(format!("the database's own guards are not as they should be: {subject} {detail}"))
}

/// The file is read once, at the beginning.
fn cookie(file: &Path) -> Result<Cookie, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("--app-cookie-file: cannot read {}", file.display()))
            .because(error)
            .hint("it holds what a browser sends after \"Cookie: \"")
    })?;
    Cookie::of(&text)
}
