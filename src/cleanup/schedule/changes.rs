//! What is to be written and taken away, decided from what is there.

use std::io;
use std::path::Path;

use super::files::{File, State};
use super::{Setup, Via};
use crate::failure::Failure;
use crate::settings::uri_of;
use crate::tools::shell;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// There is none yet.
    Write,
    /// Ours, of another run.
    Replace,
    /// Ours, and changed by hand: that is kept beside it.
    ReplaceChanged,
    /// Ours.
    Remove,
    /// Ours, and changed by hand: that is kept beside it.
    RemoveChanged,
    /// Ours, in a file where others have lines: those stay.
    TakeOut,
    /// The same, and changed by hand: all of it is kept beside it.
    TakeOutChanged,
}

/// One file and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As it is to be, or its path.
    pub file: File,
    /// What is done to it.
    pub deed: Deed,
}

/// All there is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// In this order.
    pub changes: Vec<Change>,
    /// What is left as it is, and why.
    pub left: Vec<String>,
}

/// What sets up `via`. The connection comes first: nothing runs without it.
///
/// # Errors
/// Refused: something of somebody else's is in the way, or the connection cannot be kept.
pub fn to_install(setup: &Setup, via: Via, root: &Path) -> Result<Changes, Failure> {
    let mut all = Changes::default();
    environment(setup, root, &mut all)?;
    for file in setup.files(via) {
        let deed = match state(setup, &file, root)? {
            State::Same => continue,
            State::Absent => Deed::Write,
            State::Other => Deed::Replace,
            State::Changed => Deed::ReplaceChanged,
            State::OfAnother(place) => return Err(of_another(&file, root, &place)),
            State::Foreign => {
                let shown = file.at(root);
                return Err(Failure::refused(format!(
                    "{} is there, and not ours",
                    shown.display()
                ))
                .because("its first line does not say that markenmate wrote it")
                .hint("move it away, then run this again"));
            }
        };
        all.changes.push(Change { file: within(file, root)?, deed });
    }
    Ok(all)
}

/// The file with what others have in it, before ours.
fn within(mut file: File, root: &Path) -> Result<File, Failure> {
    file.text.insert_str(0, &theirs(&file, root)?);
    Ok(file)
}

fn theirs(file: &File, root: &Path) -> Result<String, Failure> {
    file.theirs(root).map_err(|error| {
        Failure::unexpected(format!("cannot read {}", shown(file, root))).because(error)
    })
}

/// What takes away what `vias` have set up for this database, and nothing else.
///
/// # Errors
/// Something cannot be read.
pub fn to_remove(setup: &Setup, vias: &[Via], root: &Path) -> Result<Changes, Failure> {
    let mut all = Changes::default();
    let mut kept = 0;
    for via in [Via::Systemd, Via::Cron] {
        for file in setup.files(via) {
            let state = state(setup, &file, root)?;
            if !vias.contains(&via) {
                kept += usize::from(matches!(state, State::Same | State::Other | State::Changed));
                continue;
            }
            all.remove(file, &state, root)?;
        }
    }
    let file = setup.environment();
    match state(setup, &file, root)? {
        State::Changed | State::Foreign => {
            all.left.push(format!("{} is left: it holds what you put there", shown(&file, root)));
        }
        State::Absent | State::OfAnother(_) => {}
        _ if kept > 0 => {}
        state => all.remove(file, &state, root)?,
    }
    Ok(all)
}

impl Changes {
    fn remove(&mut self, mut file: File, state: &State, root: &Path) -> Result<(), Failure> {
        let theirs = theirs(&file, root)?;
        let deed = match (state, theirs.is_empty()) {
            (State::Absent, _) => return Ok(()),
            (State::Same | State::Other, true) => Deed::Remove,
            (State::Same | State::Other, false) => Deed::TakeOut,
            (State::Changed, true) => Deed::RemoveChanged,
            (State::Changed, false) => Deed::TakeOutChanged,
            (State::OfAnother(place), _) => {
                self.left.push(format!("{} is left: it is for {place}", shown(&file, root)));
                return Ok(());
            }
            (State::Foreign, _) => {
                self.left.push(format!("{} is left: it is not ours", shown(&file, root)));
                return Ok(());
            }
        };
        if matches!(deed, Deed::TakeOut | Deed::TakeOutChanged) {
            file.text = theirs;
        }
        self.changes.push(Change { file, deed });
        Ok(())
    }
}

/// What an operator put there is used as it is.
fn environment(setup: &Setup, root: &Path, all: &mut Changes) -> Result<(), Failure> {
    let file = setup.environment();
    let deed = match state(setup, &file, root)? {
        State::Absent if setup.connection.is_whole => Deed::Write,
        State::Other if setup.connection.is_whole => Deed::Replace,
        State::Absent => return Err(not_whole(setup, &file, root)),
        State::OfAnother(place) => return Err(of_another(&file, root, &place)),
        State::Changed | State::Foreign => {
            all.left.push(format!("{} is yours, and used as it is", shown(&file, root)));
            return Ok(());
        }
        State::Same | State::Other => return Ok(()),
    };
    all.changes.push(Change { file, deed });
    Ok(())
}

/// A password that was said once is not written anywhere.
fn not_whole(setup: &Setup, file: &File, root: &Path) -> Failure {
    let path = shown(file, root);
    Failure::refused("the jobs would have no password: this one was said for one run, and is not written to a file")
        .because("it came from the command line, a URL, PGPASSWORD or -W")
        .hint(format!("put it into a passfile (~/.pgpass, mode 0600) of {}, and connect without it", setup.user))
        .hint(format!(
            "or write {path} yourself, mode 0600, with one line: DATABASE_URL='{}&password=PERCENT-ENCODED'",
            setup.connection.uri
        ))
        .hint("then run this again: what is there is used as it is")
}

fn of_another(file: &File, root: &Path, place: &str) -> Failure {
    Failure::refused(format!("{} is another database's: {place}", shown(file, root)))
        .because("two databases of one name cannot both be scheduled from one machine by their name")
        .hint(format!(
            "schedule one of them from another machine, or first take that one away: markenmate -d {} cleanup schedule --remove{}",
            shell::word(&uri_of(place)),
            match root == Path::new("/") {
                true => String::new(),
                false => format!(" --root {}", shell::word(&root.to_string_lossy())),
            }
        ))
}

fn state(setup: &Setup, file: &File, root: &Path) -> Result<State, Failure> {
    file.state(root, &setup.connection.place).map_err(|error| {
        let what = format!("cannot look at {}", shown(file, root));
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Failure::refused(what).because(error).hint("run it as root, as with sudo")
            }
            _ => Failure::unexpected(what).because(error),
        }
    })
}

fn shown(file: &File, root: &Path) -> String {
    file.at(root).display().to_string()
}

impl Change {
    /// What is done, for people.
    pub fn title(&self, root: &Path) -> String {
        let path = shown(&self.file, root);
        match self.deed {
            Deed::Write => format!("write {path}"),
            Deed::Replace => format!("replace {path}"),
            Deed::ReplaceChanged => format!("replace {path}, which was changed by hand"),
            Deed::Remove => format!("remove {path}"),
            Deed::RemoveChanged => format!("remove {path}, which was changed by hand"),
            Deed::TakeOut => format!("take ours out of {path}; what else is in it stays"),
            Deed::TakeOutChanged => {
                format!(
                    "take ours, which was changed by hand, out of {path}; what else is in it stays"
                )
            }
        }
    }

    /// Where a change by hand is kept.
    pub fn detail(&self, root: &Path) -> Option<String> {
        matches!(self.deed, Deed::ReplaceChanged | Deed::RemoveChanged | Deed::TakeOutChanged)
            .then(|| format!("kept as {}", self.file.kept(root).display()))
    }

    /// Does it.
    ///
    /// # Errors
    /// The system's.
    pub fn carry_out(&self, root: &Path) -> io::Result<()> {
        match self.deed {
            Deed::Write | Deed::Replace | Deed::TakeOut => self.file.write(root),
            Deed::ReplaceChanged | Deed::TakeOutChanged => {
                self.file.keep(root)?;
                self.file.write(root)
            }
            Deed::Remove => self.file.remove(root),
            Deed::RemoveChanged => self.file.keep(root),
        }
    }
}
