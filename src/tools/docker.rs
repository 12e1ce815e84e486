//! Programs inside a container, for a host that has no PostgreSQL of its own.

use std::path::PathBuf;
use std::process::Command as Blocking;

use tokio::process::Command;

use crate::failure::Failure;
use crate::settings::Env;

/// What docker's own client gets of our environment besides: where its daemon is.
pub(super) const HANDED_ON: &[&str] =
    &["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"];

/// A running container. Its name was looked at where settings are read: docker cannot take it for an
/// option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    docker: PathBuf,
    name: String,
}

impl Container {
    /// Finds docker.
    pub fn find(env: &Env, name: &str) -> Result<Self, Failure> {
        let docker = env.path().into_iter().map(|dir| dir.join("docker")).find(|p| p.is_file());
        let docker = docker.ok_or_else(|| {
            Failure::refused("docker was not found, and --via-docker needs it").hint(
                "install docker's client, or leave out --via-docker where pg_dump is installed",
            )
        })?;
        Ok(Self { docker, name: name.to_owned() })
    }

    /// What the program says of its version.
    pub fn version_of(&self, program: &str) -> Result<String, Failure> {
        let output = Blocking::new(&self.docker)
            .args(["exec", &self.name, program, "--version"])
            .output()
            .map_err(|error| Failure::unexpected("cannot start docker").because(error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let what = format!("{program} cannot be run in container {}", self.name);
        Err(said
            .lines()
            .take(3)
            .fold(Failure::refused(what), Failure::because)
            .hint("docker ps lists the containers; the guide's is markenmate-db-1"))
    }

    /// `docker exec`, with these variables handed on by their names.
    pub fn exec(&self, variables: impl IntoIterator<Item = &'static str>) -> Command {
        let mut command = Command::new(&self.docker);
        command.args(["exec", "--interactive"]);
        for name in variables {
            command.args(["--env", name]);
        }
        command.arg(&self.name);
        command
    }
}

impl std::fmt::Display for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
