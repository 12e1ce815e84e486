//! libpq's connection keywords, and what this client makes of each.

/// What is done with a keyword's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    /// Understood.
    Read,
    /// Has no effect on this client, in either direction.
    Ignored,
    /// These values (or none) ask for what is done anyway; any other is refused for this reason.
    Only(&'static [&'static str], &'static str),
}

/// One keyword of a connection string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    /// The environment variable libpq reads it from.
    pub(super) env: Option<&'static str>,
    pub(super) usage: Use,
}

const fn read(name: &'static str, env: &'static str) -> Keyword {
    Keyword { name, env: Some(env), usage: Use::Read }
}

const fn bare(name: &'static str, usage: Use) -> Keyword {
    Keyword { name, env: None, usage }
}

const fn only(
    name: &'static str,
    env: Option<&'static str>,
    values: &'static [&'static str],
    reason: &'static str,
) -> Keyword {
    Keyword { name, env, usage: Use::Only(values, reason) }
}

const NO_CRL: &str = "revocation lists are not read, and a revoked certificate must not pass";
const NO_GSS: &str = "GSSAPI is not built in";
const NO_OAUTH: &str = "OAuth is not built in";

/// Every keyword of PostgreSQL 18's manual, section 34.1.2, and those that came before.
pub(super) const KEYWORDS: &[Keyword] = &[
    read("host", "PGHOST"),
    read("hostaddr", "PGHOSTADDR"),
    read("port", "PGPORT"),
    read("dbname", "PGDATABASE"),
    read("user", "PGUSER"),
    read("password", "PGPASSWORD"),
    read("passfile", "PGPASSFILE"),
    read("service", "PGSERVICE"),
    read("servicefile", "PGSERVICEFILE"),
    read("sslmode", "PGSSLMODE"),
    read("sslrootcert", "PGSSLROOTCERT"),
    read("sslcert", "PGSSLCERT"),
    read("sslkey", "PGSSLKEY"),
    read("sslnegotiation", "PGSSLNEGOTIATION"),
    read("sslsni", "PGSSLSNI"),
    read("sslcertmode", "PGSSLCERTMODE"),
    read("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    read("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    read("channel_binding", "PGCHANNELBINDING"),
    read("target_session_attrs", "PGTARGETSESSIONATTRS"),
    read("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    read("connect_timeout", "PGCONNECT_TIMEOUT"),
    read("application_name", "PGAPPNAME"),
    read("options", "PGOPTIONS"),
    bare("keepalives", Use::Read),
    bare("keepalives_idle", Use::Read),
    bare("keepalives_interval", Use::Read),
    bare("keepalives_count", Use::Read),
    bare("tcp_user_timeout", Use::Read),
    bare("fallback_application_name", Use::Ignored),
    bare("krbsrvname", Use::Ignored),
    bare("gsslib", Use::Ignored),
    bare("sslcompression", Use::Ignored),
    bare("max_protocol_version", Use::Ignored),
    only("min_protocol_version", Some("PGMINPROTOCOLVERSION"), &["3.0"], "protocol 3.0 is spoken"),
    only("gssdelegation", Some("PGGSSDELEGATION"), &["0"], NO_GSS),
    only("gssencmode", Some("PGGSSENCMODE"), &["disable", "prefer"], NO_GSS),
    only(
        "client_encoding",
        None,
        &["auto", "utf8", "UTF8", "utf-8", "UTF-8", "unicode", "UNICODE"],
        "this client speaks UTF8 only",
    ),
    only("sslpassword", None, &[], "encrypted client keys are not read: decrypt the key file"),
    only("sslcrl", Some("PGSSLCRL"), &[], NO_CRL),
    only("sslcrldir", Some("PGSSLCRLDIR"), &[], NO_CRL),
    only("sslkeylogfile", None, &[], "session keys are never written anywhere"),
    only("requirepeer", Some("PGREQUIREPEER"), &[], "the socket's owner is not checked"),
    only("require_auth", Some("PGREQUIREAUTH"), &[], "use channel_binding=require instead"),
    only("replication", None, &["0", "off", "false", "no"], "this is not a replication client"),
    only("scram_client_key", None, &[], "give the password instead"),
    only("scram_server_key", None, &[], "give the password instead"),
    only("oauth_issuer", None, &[], NO_OAUTH),
    only("oauth_client_id", None, &[], NO_OAUTH),
    only("oauth_client_secret", None, &[], NO_OAUTH),
    only("oauth_scope", None, &[], NO_OAUTH),
];

/// The keyword of this name.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once() {
        let mut names: Vec<_> = KEYWORDS.iter().map(|k| k.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
