//! Where a document goes that is no report: standard output, or a file that is put in its place whole.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Format;

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// `-`
    Stdout,
    /// Of this name.
    File(PathBuf),
}

/// Who may read the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everybody: it is for a service under another user.
    All,
    /// The owner: it says what people did.
    Owner,
}

impl Sink {
    /// Reads the flag's value.
    ///
    /// # Errors
    /// None.
    pub fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(text.into()) })
    }

    /// Refuses before anything is read where it could not be written afterwards.
    ///
    /// # Errors
    /// Usage (exit 2).
    pub(super) fn check(&self, flag: &str, format: Format) -> Result<(), Failure> {
        match self {
            Self::Stdout if format == Format::Json => {
                Err(Failure::usage(format!("{flag} - and --format json both want standard output"))
                    .hint(format!("write one of them to a file: {flag} FILE")))
            }
            Self::Stdout => Ok(()),
            Self::File(file) => {
                let folder = folder_of(file);
                if folder.is_dir() && !file.is_dir() && file.file_name().is_some() {
                    return Ok(());
                }
                let why = match file.is_dir() {
                    true => "it is a folder".to_owned(),
                    false => format!("there is no folder {}", folder.display()),
                };
                Err(Failure::usage(format!("{flag}: cannot write {}", file.display()))
                    .because(why)
                    .hint("name a file in a folder that exists"))
            }
        }
    }

    /// Writes the document. On standard output nothing but it may stand: what the report says of findings goes
    /// to standard error, the rest is left out.
    ///
    /// # Errors
    /// It could not be written; the file that was there before is still there.
    pub(super) fn write(
        &self,
        cx: &Context,
        text: &str,
        readers: Readers,
        report: &mut Report,
    ) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                cx.console.print(text)?;
                report.body.clear();
                report.next = None;
                for finding in report.findings.drain(..) {
                    let line = format!("{}: {}: {}", finding.id, finding.subject, finding.detail);
                    cx.console.say(&format!("warning: {line} -> {}", finding.remedy));
                }
                Ok(())
            }
            Self::File(file) => put(file, text, readers).map_err(|error| {
                Failure::unexpected(format!("cannot write {}", file.display()))
                    .because(error)
                    .hint("the file that was there before is as it was")
                    .hint("to have it on standard output: - in place of the file")
            }),
        }
    }
}

/// Beside its place and then moved there: nobody reads half of one. The name ends otherwise, as node_exporter
/// reads everything that ends in `.prom`.
fn put(file: &Path, text: &str, readers: Readers) -> std::io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let folder = folder_of(file);
    let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
    let mode = match readers {
        Readers::All => 0o644,
        Readers::Owner => 0o600,
    };
    // Left by a run of the same id that was killed.
    let _ = std::fs::remove_file(&partial);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)
        .and_then(|mut out| {
            // Whatever the umask takes away.
            out.set_permissions(std::fs::Permissions::from_mode(mode))?;
            out.write_all(text.as_bytes())?;
            out.sync_all()
        })
        .and_then(|()| std::fs::rename(&partial, file))
        .and_then(|()| std::fs::File::open(&folder)?.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
