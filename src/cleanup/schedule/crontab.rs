//! What else may stand in our file of `/etc/cron.d`: lines before ours, and environment (`MAILTO=`, `PATH=`) anywhere,
//! which crontab(5) asks whoever runs the machine to put there. It stays as it is. Pure.

use super::marker::{self, Ours};

/// A file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crontab {
    /// Lines that are not ours, in their order; empty, or with a line break at the end.
    pub theirs: String,
    /// From our first line on, without theirs. None: nothing of ours is in it.
    pub block: Option<String>,
}

impl Crontab {
    /// Reads it.
    pub fn read(text: &str) -> Self {
        let mut theirs = String::new();
        let mut block: Option<String> = None;
        for line in text.split_inclusive('\n') {
            match &mut block {
                None if marker::is_first(line) => block = Some(line.to_owned()),
                Some(block) if !is_environment(line) || line.trim_end() == OURS => {
                    block.push_str(line);
                }
                _ => theirs.push_str(line),
            }
        }
        if !theirs.is_empty() && !theirs.ends_with('\n') {
            theirs.push('\n');
        }
        Self { theirs, block }
    }

    /// Whose our part is; a file of environment and comments alone has room for it.
    pub fn whose(&self) -> Option<Ours> {
        match &self.block {
            Some(block) => Some(marker::read(block)),
            None if self.theirs.lines().all(is_no_job) => None,
            None => Some(Ours::No),
        }
    }
}

/// What our own part sets.
const OURS: &str = "SHELL=/bin/sh";

fn is_no_job(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || is_environment(line)
}

/// `NAME = value`; no schedule begins with a name and an equals sign.
fn is_environment(line: &str) -> bool {
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.trim().trim_matches(['"', '\'']);
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_theirs_is_told_from_what_is_ours() {
        let ours = marker::stamped("#", "d@h:1", "# c\nSHELL=/bin/sh\n* * * * * root x=1 y\n");
        let place = "d@h:1".to_owned();
        let read = |text: &str| {
            let crontab = Crontab::read(text);
            (crontab.whose(), crontab.theirs)
        };
        let untouched = Some(Ours::Untouched { place: place.clone() });
        assert_eq!(read(&ours), (untouched.clone(), String::new()));
        let before = format!("0 0 * * * root true\n\nMAILTO=a@b\n{ours}");
        assert_eq!(
            read(&before),
            (untouched.clone(), "0 0 * * * root true\n\nMAILTO=a@b\n".into())
        );
        let within = ours.replace("# c\n", "# c\nPATH = /x:/y\n\"MAILTO\"=\"\"\n") + "HOME=/z";
        assert_eq!(read(&within), (untouched, "PATH = /x:/y\n\"MAILTO\"=\"\"\nHOME=/z\n".into()));
        let other_shell = ours.replace("/bin/sh", "/bin/bash");
        assert_eq!(read(&other_shell).0, Some(Ours::Changed { place: place.clone() }));
        assert_eq!(read(&format!("{ours}1 1 * * * root more\n")).0, Some(Ours::Changed { place }));
        assert_eq!(read("# mine\nMAILTO=a\n\n"), (None, "# mine\nMAILTO=a\n\n".into()));
        assert_eq!(read("MAILTO=a\n@daily root x\n").0, Some(Ours::No));
    }
}
