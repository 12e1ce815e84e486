//! Everything that says something about the database, the strongest first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::conninfo::{self, Values};
use super::keyword::{KEYWORDS, Use};
use super::{EndpointFlags, Env, Source, service};
use crate::failure::Failure;

/// What one place says. In a connection string user and password belong together.
struct Layer {
    entries: BTreeMap<&'static str, (String, Source)>,
    is_text: bool,
}

impl Layer {
    fn of(values: Values, source: &Source) -> Self {
        let entries = values.into_iter().map(|(name, v)| (name, (v, source.clone()))).collect();
        Self { entries, is_text: true }
    }

    fn has(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|(value, _)| !value.is_empty())
    }
}

/// A value and where it was said.
pub(super) struct Found<'a> {
    pub(super) value: &'a str,
    pub(super) source: &'a Source,
    /// 0 is the strongest.
    pub(super) level: usize,
}

/// The layers, the strongest first: flags, `-d`, `DATABASE_URL`, service file, `PG*`.
pub(super) struct Layers {
    layers: Vec<Layer>,
}

impl Layers {
    /// Reads all of them.
    ///
    /// # Errors
    /// Usage (exit 2): a text cannot be read, a keyword is unknown or refused.
    pub(super) fn collect(flags: &EndpointFlags, env: &Env) -> Result<Self, Failure> {
        let mut all = Self { layers: vec![flag_layer(flags)?] };
        if let Some(text) = &flags.database_url {
            all.push_text(text, "--database-url", &Source::Flag)?;
        }
        if let Some(text) = set(env, "DATABASE_URL")
            && all.wants_database_url(flags)
        {
            all.push_text(text, "DATABASE_URL", &Source::Env("DATABASE_URL"))?;
        }
        all.push_service(env)?;
        all.layers.push(environment(env));
        all.refuse_the_unsupported()?;
        Ok(all)
    }

    /// A command line that says where and which leaves nothing to `DATABASE_URL`: the password
    /// of one server must not be sent to another, nor its database be looked for there.
    fn wants_database_url(&self, flags: &EndpointFlags) -> bool {
        let Some(text) = self.layers.get(1) else { return true };
        let names_server = ["host", "hostaddr", "service"].iter().any(|name| text.has(name));
        !names_server && flags.host.is_none()
    }

    fn push_text(&mut self, text: &str, label: &str, source: &Source) -> Result<(), Failure> {
        let values = conninfo::parse(text)
            .map_err(|failure| failure.attempting(format!("cannot read {label}")))?;
        self.layers.push(Layer::of(values, source));
        Ok(())
    }

    fn push_service(&mut self, env: &Env) -> Result<(), Failure> {
        let said = |name| self.text(name).map(|found| found.value.to_owned());
        let Some(name) = said("service").or_else(|| set(env, "PGSERVICE").map(str::to_owned))
        else {
            return Ok(());
        };
        let file = said("servicefile").or_else(|| set(env, "PGSERVICEFILE").map(str::to_owned));
        let (path, values): (PathBuf, Values) = service::find(&name, file.as_deref(), env)?;
        self.layers.push(Layer::of(values, &Source::File(path)));
        Ok(())
    }

    /// What the strongest layer says that says anything, be it empty.
    pub(super) fn get(&self, name: &str) -> Option<Found<'_>> {
        self.layers.iter().enumerate().find_map(|(level, layer)| {
            let (value, source) = layer.entries.get(name)?;
            Some(Found { value, source, level })
        })
    }

    /// The same, where an empty text counts as nothing said.
    pub(super) fn text(&self, name: &str) -> Option<Found<'_>> {
        self.get(name).filter(|found| !found.value.is_empty())
    }

    /// The password for `user`. One from a text that names another user is not theirs.
    pub(super) fn password(&self, user: &str) -> Option<(&str, &Source)> {
        let theirs = |layer: &&Layer| match layer.entries.get("user") {
            Some((named, _)) if layer.is_text => named == user,
            _ => true,
        };
        let (value, source) =
            self.layers.iter().filter(theirs).find_map(|layer| layer.entries.get("password"))?;
        (!value.is_empty()).then_some((value.as_str(), source))
    }

    fn refuse_the_unsupported(&self) -> Result<(), Failure> {
        for keyword in KEYWORDS {
            let Use::Only(allowed, reason) = keyword.usage else { continue };
            let Some(found) = self.text(keyword.name) else { continue };
            if !allowed.contains(&found.value) {
                let name = keyword.name;
                return Err(Failure::usage(format!("`{name}` is not supported with this value"))
                    .because(format!("{reason} ({})", found.source))
                    .hint(match allowed.first() {
                        Some(value) => format!("leave `{name}` out, or write {name}={value}"),
                        None => format!("leave `{name}` out"),
                    }));
            }
        }
        Ok(())
    }
}

/// A variable that is set to something.
fn set<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.var(name).filter(|value| !value.trim().is_empty())
}

fn flag_layer(flags: &EndpointFlags) -> Result<Layer, Failure> {
    let given = [
        ("--database-url", None, &flags.database_url),
        ("--host", Some("host"), &flags.host),
        ("--port", Some("port"), &flags.port),
        ("--username", Some("user"), &flags.username),
    ];
    let mut entries = BTreeMap::new();
    for (flag, keyword, value) in given {
        let Some(value) = value else { continue };
        // Most often a shell variable that is not set: what was meant must not be guessed.
        if value.trim().is_empty() {
            return Err(Failure::usage(format!("{flag} was given an empty value"))
                .hint(format!("leave {flag} out, or give it a value")));
        }
        if let Some(keyword) = keyword {
            entries.insert(keyword, (value.clone(), Source::Flag));
        }
    }
    Ok(Layer { entries, is_text: false })
}

fn environment(env: &Env) -> Layer {
    let mut entries = BTreeMap::new();
    for keyword in KEYWORDS {
        if let Some(variable) = keyword.env
            && let Some(value) = env.var(variable).filter(|value| !value.is_empty())
        {
            entries.insert(keyword.name, (value.to_owned(), Source::Env(variable)));
        }
    }
    Layer { entries, is_text: false }
}
