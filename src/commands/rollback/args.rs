//! The flags of `rollback`.

use std::path::PathBuf;

/// Flags of `rollback`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Args {
    /// Go back to this version, and set aside what the later ones brought; without it, to 1: the schema before the guide's migration
    #[arg(long, value_name = "VERSION|NAME", conflicts_with = "restore")]
    pub to: Option<String>,
    /// Change nothing; say by exit code whether it could be done now: 0 nothing to do, 3 it could, 4 it would be refused, 7 it would have to wait
    #[arg(long, conflicts_with_all = ["restore", "dry_run"])]
    pub check: bool,
    /// Restore a backup into a new database, compare it, and swap the names; without PATH the newest verified backup of this database
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    #[allow(clippy::option_option)]
    pub restore: Option<Option<PathBuf>>,
    /// How many tables are restored at once
    #[arg(long, value_name = "N", default_value = "2", requires = "restore", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// The file of the secret key, where the backup is encrypted
    #[arg(long, value_name = "FILE", requires = "restore")]
    pub identity: Option<PathBuf>,
    /// Take no backup of the present database first: it is kept under another name either way
    #[arg(long, requires = "restore")]
    pub no_safety_backup: bool,
}
