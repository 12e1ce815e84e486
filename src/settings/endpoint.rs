//! Which server and database, as which user.

use secrecy::SecretString;

use super::{Env, Origin};
use crate::failure::Failure;

/// What the command line says about the database.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct EndpointFlags {
    /// `-d`: a libpq URI, a `key=value` string or a plain name.
    pub database_url: Option<String>,
    pub host: Option<String>,
    pub port: Option<String>,
    pub username: Option<String>,
    /// `-W`
    pub ask_password: bool,
}

/// A resolved endpoint. (interim: replaced by the conninfo layer)
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Endpoint {
    pub url: SecretString,
    pub origins: Vec<Origin>,
}

impl Endpoint {
    /// Resolves flags and environment to an endpoint.
    pub fn resolve(flags: &EndpointFlags, env: &Env) -> Result<Self, Failure> {
        let url = flags.database_url.as_deref().or(env.var("DATABASE_URL"));
        let Some(url) = url else {
            return Err(Failure::usage("no database was named"));
        };
        Ok(Self { url: SecretString::from(url.to_owned()), origins: Vec::new() })
    }
}

impl Endpoint {
    /// `-W` was given.
    pub fn needs_password_prompt(&self) -> bool {
        false
    }
    /// The answer.
    pub fn set_password(&mut self, _password: SecretString) {}
}
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("endpoint")
    }
}
