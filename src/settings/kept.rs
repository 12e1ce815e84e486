//! The connection as one line that a file may keep: what was said of it, but never a password.

use std::path::{Path, PathBuf};

use super::hosts::Host;
use super::keyword::{KEYWORDS, Use};
use super::layers::Layers;
use super::{Endpoint, Source};

/// A connection that a job of its own is to use later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keepable {
    /// A URI of plain ASCII without quotes, blanks or backslashes; without a password.
    pub uri: String,
    /// The hosts and the database, by which it is told from others of the same name.
    pub place: String,
    /// Whether whoever has the URI connects as we did.
    pub is_whole: bool,
    /// Files that are read for it.
    pub files: Vec<PathBuf>,
}

/// Keywords whose value is a file; a job runs in another folder.
const FILES: [&str; 5] = ["passfile", "servicefile", "sslrootcert", "sslcert", "sslkey"];

/// What [`Endpoint`] was resolved to has its place in the URI, or is not kept.
const ELSEWHERE: [&str; 6] = ["user", "password", "dbname", "host", "service", "servicefile"];

impl Endpoint {
    /// The connection as one line, without the password. A passfile or a service file is named in it,
    /// so that a job finds the password where it was found now.
    pub(super) fn keepable(&self, layers: &Layers) -> Keepable {
        let said = |name| layers.text(name).map(|found| found.value.to_owned());
        let from_service = match (self.password_source(), layers.text("service")) {
            (Some(Source::File(file)), Some(_)) if layers.password(self.user()).is_some() => {
                Some(file.clone())
            }
            _ => None,
        };
        let mut pairs = vec![("host", list(&self.hosts, |host| host.name.clone()))];
        for keyword in KEYWORDS.iter().filter(|k| matches!(k.usage, Use::Read)) {
            if !ELSEWHERE.contains(&keyword.name) {
                pairs.extend(said(keyword.name).map(|value| (keyword.name, value)));
            }
        }
        match (self.password_source(), &from_service) {
            (_, Some(file)) => {
                pairs.extend(said("service").map(|name| ("service", name)));
                pairs.push(("servicefile", file.to_string_lossy().into_owned()));
            }
            (Some(Source::File(file)), None) => {
                pairs.retain(|(name, _)| *name != "passfile");
                pairs.push(("passfile", file.to_string_lossy().into_owned()));
            }
            _ => {}
        }
        let mut files = Vec::new();
        for (name, value) in pairs.iter_mut().filter(|(name, _)| FILES.contains(name)) {
            if *name != "sslrootcert" || value != "system" {
                let path = std::path::absolute(&*value).unwrap_or_else(|_| PathBuf::from(&*value));
                *value = path.to_string_lossy().into_owned();
                files.push(path);
            }
        }
        let sockets = self.hosts.iter().map(|host| Path::new(&host.name));
        files.extend(sockets.filter(|path| path.is_absolute()).map(Path::to_path_buf));
        let (user, database) = (encoded(self.user(), ""), encoded(self.database(), ""));
        let query: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value, "/,:"))).collect();
        let hosts = encoded(&list(&self.hosts, Host::shown), "/,:");
        Keepable {
            uri: format!("postgresql://{user}@/{database}?{}", query.join("&")),
            place: format!("{database}@{hosts}"),
            is_whole: matches!(self.password_source(), None | Some(Source::File(_)))
                && !self.needs_password_prompt(),
            files,
        }
    }
}

/// What leads to the database of that [`Keepable::place`]: enough to name it, as whoever asks.
pub fn uri_of(place: &str) -> String {
    let (database, hosts) = place.split_once('@').unwrap_or((place, ""));
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        // An address of version 6 is shown in brackets.
        names.push(name.trim_start_matches("%5B").trim_end_matches("%5D"));
        ports.push(port);
    }
    format!("postgresql:///{database}?host={}&port={}", names.join(","), ports.join(","))
}

fn list(hosts: &[Host], part: impl Fn(&Host) -> String) -> String {
    hosts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// Percent-encoded, but for letters, digits, `-._~` and what else may stand.
fn encoded(text: &str, plain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || plain.contains(c) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{EndpointFlags, Env};
    use super::*;

    fn kept(env: &Env, flags: &EndpointFlags) -> Keepable {
        Endpoint::resolve(flags, env).expect("resolved").keepable
    }

    fn of(url: &str) -> Keepable {
        kept(&Env::of([("DATABASE_URL", url)]), &EndpointFlags::default())
    }

    #[test]
    fn it_reads_back_as_the_same_place() {
        for url in [
            "postgresql://app@db.internal:5433/markenmate?sslmode=verify-full&connect_timeout=3",
            "host=/run/x,y port=1,2 user='a b' dbname='m%/?&=\\'\\\\ü\n' options='-c a=b'",
            "postgresql://app@[::1]:5432/markenmate?sslrootcert=system&sslmode=verify-full",
        ] {
            let first =
                Endpoint::resolve(&EndpointFlags::default(), &Env::of([("DATABASE_URL", url)]))
                    .expect(url);
            let second = Endpoint::resolve(
                &EndpointFlags::default(),
                &Env::of([("DATABASE_URL", &first.keepable.uri)]),
            )
            .expect(&first.keepable.uri);
            assert_eq!(first.to_string(), second.to_string());
            assert_eq!(first.keepable, second.keepable);
            assert_eq!((first.options, first.tls.mode), (second.options, second.tls.mode));
            let plain = |c: char| c.is_ascii_graphic() && !"'\"\\$`".contains(c);
            assert!(first.keepable.uri.chars().all(plain), "{}", first.keepable.uri);
            assert!(first.keepable.is_whole);
            let flags = EndpointFlags {
                database_url: Some(uri_of(&first.keepable.place)),
                ..EndpointFlags::default()
            };
            let third = Endpoint::resolve(&flags, &Env::of([("PGUSER", "other")])).expect(url);
            assert_eq!(third.keepable.place, first.keepable.place);
        }
    }

    #[test]
    fn a_password_that_was_said_is_not_kept() {
        let kept_one = of("postgresql://app:s3cret@h/d");
        assert!(!kept_one.is_whole && !kept_one.uri.contains("s3cret"), "{kept_one:?}");
        assert_eq!(kept_one.uri, "postgresql://app@/d?host=h");
        assert_eq!(kept_one.place, "d@h:5432");
        let asks = EndpointFlags { ask_password: true, ..EndpointFlags::default() };
        assert!(!kept(&Env::of([("DATABASE_URL", "postgresql://app@h/d")]), &asks).is_whole);
    }

    #[test]
    fn the_file_that_has_the_password_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("kept-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("made");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        std::fs::write(path(".pgpass"), "*:*:*:*:s3cret\n").expect("written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path(".pgpass"), mode).expect("mode");
        std::fs::write(path("service"), "[s]\nhost=h\nuser=u\npassword=s3cret\n").expect("written");
        let env = Env::of([("HOME", &folder.to_string_lossy()), ("PGUSER", "app")]);
        let by_passfile =
            kept(&env.clone().with("DATABASE_URL", "postgresql://h/d"), &EndpointFlags::default());
        assert!(by_passfile.is_whole, "{by_passfile:?}");
        assert_eq!(by_passfile.files, [folder.join(".pgpass")]);
        assert!(by_passfile.uri.contains(&format!("passfile={}", path(".pgpass"))));
        let env = env.with("PGSERVICE", "s").with("PGSERVICEFILE", &path("service"));
        let by_service =
            kept(&env.with("PGUSER", "").with("PGDATABASE", "d"), &EndpointFlags::default());
        assert!(by_service.is_whole && by_service.uri.contains("service=s&servicefile=/"));
        assert!(!by_service.uri.contains("s3cret"), "{by_service:?}");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
