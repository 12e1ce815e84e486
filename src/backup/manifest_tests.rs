use super::*;

pub(crate) fn sample() -> Manifest {
    Manifest {
        manifest: 1,
        safety: false,
        tool_version: "0.1.0".into(),
        run_id: "00000000-0000-0000-0000-000000000000".into(),
        snapshot_at: DateTime::UNIX_EPOCH,
        lsn: Some("0/0".into()),
        database: Database {
            name: format!("evil {}", seal::BLANK),
            oid: 16_384,
            system_identifier: Some("1".into()),
            server_version: "15.18".into(),
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            owner: "app".into(),
            bytes: 1,
        },
        schema: Schema { state: "current".into(), migrations: serde_json::json!([]) },
        archive: Archive {
            form: Form::Custom,
            compression: "gzip:1".into(),
            pg_dump: "15.18".into(),
            server_version_num: 150_018,
            jobs: 1,
            recipients: Vec::new(),
        },
        checksums: Checksums::Counts,
        tables: vec![Table { name: "public.a".into(), rows: Some(1), checksum: None }],
        sequences: vec![Sequence {
            name: "public.a_id_seq".into(),
            last_value: Some(7),
            descends: false,
            cycles: false,
        }],
        broken_keys: vec!["public.session.user_id".into()],
        roles: vec!["app".into()],
        catalogue: Catalogue::default(),
        beside: None,
        files: vec![File { name: "a.dump".into(), bytes: 5, sha256: "ab".into() }],
        sha256: String::new(),
    }
}

#[test]
fn what_was_sealed_is_opened() {
    let text = sample().seal();
    let opened = Manifest::open(text.as_bytes()).unwrap();
    assert_eq!(opened.sha256.len(), 64);
    assert_eq!(Manifest { sha256: String::new(), ..opened }, sample());
}

#[test]
fn every_flipped_bit_and_every_cut_is_seen() {
    let text = sample().seal().into_bytes();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[at] ^= 1 << bit;
            assert!(Manifest::open(&flipped).is_err(), "byte {at}, bit {bit}");
        }
        assert!(Manifest::open(&text[..at]).is_err(), "cut at {at}");
    }
}
