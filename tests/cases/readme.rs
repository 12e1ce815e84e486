//! The README's transcripts are run as they stand there, one after the other on one database.

use crate::support::{TestDb, env};

#[test]
fn the_readmes_transcripts_are_true() {
    let db = TestDb::baseline();
    let cases = trycmd::TestCases::new();
    // The pg_dump of the server under test.
    if let Some(bindir) = env().var("MARKENMATE_TEST_BINDIR") {
        cases.env("MARKENMATE_PG_BINDIR", bindir);
    }
    cases
        .register_bin("markenmate", trycmd::cargo::cargo_bin!("markenmate"))
        .env("DATABASE_URL", &db.url)
        .env("MARKENMATE_BACKUP_DIR", db.folder().to_string_lossy())
        .case("README.md");
}
