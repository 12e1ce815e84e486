//! What a certificate must be of: the schema and the very migrations.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::backup::certificate::{Migration, Migrations};
use crate::backup::gate::Identity;
use crate::backup::manifest::{Manifest, hex};
use crate::backup::rehearsed::Wanted;
use crate::db::catalogue::schema_hash;
use crate::db::session::Session;
use crate::failure::Failure;
use crate::migrations::fingerprint::Fingerprint;
use crate::migrations::registry;
use crate::migrations::survey::Survey;

/// This binary's migrations, each of their files by its hash.
pub fn migrations() -> Migrations {
    let app = registry::APP.iter().map(|entry| Migration {
        version: entry.version,
        name: entry.name.into(),
        checksum: entry.checksum(),
        up: sha256(entry.sql),
        aside: entry.aside.map(sha256),
        down: entry.down.map(sha256),
        contract: Some(sha256(&json!(entry.contract()).to_string())),
    });
    let own = registry::OWN.iter().map(|entry| Migration {
        version: entry.version,
        name: entry.name.into(),
        checksum: entry.checksum(),
        up: sha256(entry.sql),
        aside: None,
        down: None,
        contract: None,
    });
    Migrations::of(app.collect(), own.collect())
}

/// The schema of the moment that a backup shows.
pub fn schema_of(manifest: &Manifest) -> String {
    schema_hash(&manifest.catalogue, &manifest.schema.migrations)
}

/// Whether a backup shows the database as it is now.
pub fn is_of_now(manifest: &Manifest, now: Option<&Fingerprint>) -> bool {
    now.is_some_and(|now| {
        now.schema == schema_of(manifest) && manifest.beside.as_ref() == Some(&now.beside)
    })
}

/// What a rehearsal must be of to count for this database as it is.
///
/// # Errors
/// The server's.
pub async fn wanted(session: &Session, survey: &Survey) -> Result<Option<Wanted>, Failure> {
    let identity = Identity {
        system_identifier: session.facts.system_identifier.clone(),
        oid: survey.rights.database_oid,
    };
    let now = Fingerprint::of(session, survey).await?;
    Ok(now.map(|Fingerprint { schema, beside }| Wanted {
        identity,
        schema,
        beside,
        migrations: migrations().sha256,
        stages: super::stages::ALL.iter().map(|(id, _)| *id).collect(),
    }))
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_counts() {
        let all = migrations();
        assert_eq!(all.app.len(), registry::APP.len());
        assert!(all.app.iter().skip(1).all(|migration| migration.down.is_some()));
        for touch in [
            |m: &mut Migration| m.up.push('x'),
            |m: &mut Migration| m.down = Some("x".into()),
            |m: &mut Migration| m.aside = Some("x".into()),
            |m: &mut Migration| m.contract = None,
        ] {
            let mut app = all.app.clone();
            touch(&mut app[1]);
            assert_ne!(Migrations::of(app, all.own.clone()).sha256, all.sha256);
        }
        assert_eq!(Migrations::of(all.app.clone(), all.own.clone()), all);
    }
}
