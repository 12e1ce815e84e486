use super::super::manifest::tests::sample as manifest;
use super::*;

pub(crate) fn sample() -> Certificate {
    Certificate {
        certificate: 1,
        tool_version: "0.1.0".into(),
        run_id: "00000000-0000-0000-0000-000000000000".into(),
        began_at: DateTime::UNIX_EPOCH,
        finished_at: Utc::now(),
        verdict: Verdict::Pass,
        failed_stage: None,
        database: manifest().database,
        schema: Schema { sha256: "s".into(), beside: Some("b".into()), state: "baseline".into() },
        backup: Origin {
            path: "b".into(),
            manifest_sha256: "m".into(),
            snapshot_at: DateTime::UNIX_EPOCH,
        },
        migrations: Migrations { sha256: "v".into(), app: Vec::new(), own: Vec::new() },
        ground: Ground { kind: "sandbox".into(), server_version: "15.18".into() },
        stages: vec![Stage {
            id: "migrate".into(),
            title: "migrate".into(),
            status: StepStatus::Done,
            duration_ms: Some(12),
            locked_ms: Some(3.4),
            detail: None,
        }],
        findings: Vec::new(),
        sha256: String::new(),
    }
}

#[test]
fn what_was_sealed_is_opened_and_every_changed_byte_is_seen() {
    let folder = tempfile::TempDir::new().unwrap();
    let paper = Paper::at(None, &folder.path().join("made"), Utc::now());
    paper.check().unwrap();
    let (text, sealed) = sample().seal();
    paper.write(&text, "page\n").unwrap();
    assert_eq!(Certificate::open(&paper.certificate).unwrap(), sealed);
    assert!(paper.check().unwrap_err().message.contains("nothing is overwritten"));
    let mut bytes = text.into_bytes();
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        fs::write(&paper.certificate, &bytes).unwrap();
        assert!(Certificate::open(&paper.certificate).is_err(), "byte {at}");
        bytes[at] ^= 1;
    }
    fs::write(&paper.certificate, &bytes[..bytes.len() / 2]).unwrap();
    assert!(Certificate::open(&paper.certificate).is_err());
}

#[test]
fn what_a_killed_run_left_half_written_goes() {
    let folder = tempfile::TempDir::new().unwrap();
    let left = folder.path().join(format!("{PREFIX}1{SUFFIX}{PARTIAL}"));
    let foreign = folder.path().join(format!("x{SUFFIX}{PARTIAL}"));
    fs::write(&left, "half").unwrap();
    fs::write(&foreign, "not ours").unwrap();
    let paper = Paper::at(None, folder.path(), Utc::now());
    paper.write("{}", "page").unwrap();
    assert!(!left.exists() && foreign.exists());
    assert!(paper.certificate.exists() && paper.page.exists());
}
