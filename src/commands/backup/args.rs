//! The flags of `backup` and what stands below it.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::backup::form::{Compression, Form};
use crate::backup::manifest::Checksums;
use crate::tools::age::Age;

/// Flags of `backup`.
#[derive(Debug, Default, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What is done with a backup that exists; without: one is made.
    #[command(subcommand)]
    pub kept: Option<Kept>,
    /// Where to; .sql plain, .dump custom, none: a folder; - plain to stdout [default: in --backup-dir, named as the app names them]
    #[arg(short = 'o', long, value_name = "PATH|-")]
    pub output: Option<PathBuf>,
    /// The archive's form [default: as the name says, else directory]
    #[arg(short = 'F', long, value_name = "FORM", value_parser = PossibleValuesParser::new(["plain", "custom", "directory"]).map(form_of))]
    pub dump_format: Option<Form>,
    /// How many tables are dumped at once, into a folder [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// none, gzip, lz4 or zstd, with a level [default: zstd:1 where pg_dump knows it, else gzip:1]
    #[arg(long, value_name = "METHOD[:LEVEL]", value_parser = Compression::parse)]
    pub compress: Option<Compression>,
    /// What the manifest knows of each table: its rows, or their content as well
    #[arg(long, default_value = "counts", value_name = "WHAT", value_parser = PossibleValuesParser::new(["none", "counts", "full"]).map(checksums_of))]
    pub checksums: Checksums,
    /// Encrypt it with age: age1..., or an SSH public key; may be given more than once
    #[arg(long, value_name = "AGE", value_parser = Age::recipient, conflicts_with = "restore_test")]
    pub recipient: Vec<String>,
    /// Verify it, restore it into a throw-away PostgreSQL, and compare; --checksums full with it
    #[arg(long)]
    pub restore_test: bool,
}

impl Args {
    /// `-o -`
    pub fn to_stdout(&self) -> bool {
        self.output.as_deref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// What is done with backups that exist.
#[derive(Debug, clap::Subcommand)]
pub enum Kept {
    /// Compare every byte with the manifest, and have pg_restore read all of it
    Verify {
        /// The backup: a file or a folder
        path: PathBuf,
        /// Restore it into a throw-away PostgreSQL as well, and compare
        #[arg(long)]
        restore_test: bool,
        /// The file of the secret key, where it is encrypted
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Remove backups older than the newest verified ones; the last verified one stays
    Prune {
        /// The folder [default: --backup-dir]
        dir: Option<PathBuf>,
        /// How many verified ones of each database stay
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        keep: u16,
    },
    /// List the backups of a folder
    List {
        /// The folder [default: --backup-dir]
        dir: Option<PathBuf>,
    },
}

fn form_of(word: String) -> Form {
    match word.as_str() {
        "plain" => Form::Plain,
        "custom" => Form::Custom,
        _ => Form::Directory,
    }
}

fn checksums_of(word: String) -> Checksums {
    match word.as_str() {
        "none" => Checksums::None,
        "full" => Checksums::Full,
        _ => Checksums::Counts,
    }
}
