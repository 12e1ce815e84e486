//! The README's transcripts are run as they stand there, one after the other on one database.

use crate::support::TestDb;

#[test]
fn the_readmes_transcripts_are_true() {
    let db = TestDb::baseline();
    trycmd::TestCases::new()
        .register_bin("markenmate", trycmd::cargo::cargo_bin!("markenmate"))
        .env("DATABASE_URL", &db.url)
        .env("MARKENMATE_BACKUP_DIR", db.folder().to_string_lossy())
        .case("README.md");
}
