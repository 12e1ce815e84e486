//! The terminal: what is said, asked and typed. Data goes to stdout, talk to stderr.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Mutex, PoisonError};

use dialoguer::theme::{SimpleTheme, Theme};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::failure::{Failure, Kind};

mod escape;
pub mod log;
pub mod progress;

pub use escape::{escape, escape_lines};

/// Where talk goes and answers come from.
pub struct Console {
    quiet: bool,
    width: Option<u16>,
    /// How the terminal was set before a password was asked for.
    modes: Mutex<Option<rustix::termios::Termios>>,
    backend: Backend,
}

enum Backend {
    Terminal { interactive: bool },
    Scripted(Mutex<Script>),
}

/// Answers given beforehand and what was said, for tests.
#[derive(Debug, Default)]
pub struct Script {
    /// What will be typed, line by line.
    pub answers: VecDeque<String>,
    /// What was said and asked.
    pub said: Vec<String>,
    /// What went to stdout.
    pub printed: String,
}

impl Console {
    /// The process's own terminal. Answers can be given where stdin and stderr both are one.
    pub fn terminal(quiet: bool) -> Self {
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        // Some terminals say that they have no columns at all.
        let columns = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
        Self {
            quiet,
            width: columns.map(|columns| if columns < 20 { 80 } else { columns }),
            modes: Mutex::default(),
            backend: Backend::Terminal { interactive },
        }
    }

    /// A terminal whose answers are known.
    pub fn scripted(answers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let answers = answers.into_iter().map(Into::into).collect();
        let script = Script { answers, ..Script::default() };
        let backend = Backend::Scripted(Mutex::new(script));
        Self { quiet: false, width: Some(100), modes: Mutex::default(), backend }
    }

    /// What was said, asked and printed so far on a scripted terminal.
    pub fn transcript(&self) -> Option<(Vec<String>, String)> {
        match &self.backend {
            Backend::Terminal { .. } => None,
            Backend::Scripted(script) => {
                let script = script.lock().unwrap_or_else(PoisonError::into_inner);
                Some((script.said.clone(), script.printed.clone()))
            }
        }
    }

    /// Whether somebody can answer.
    pub fn is_interactive(&self) -> bool {
        match self.backend {
            Backend::Terminal { interactive } => interactive,
            Backend::Scripted(_) => true,
        }
    }

    /// Whether stdout goes to a terminal, so that tables fit its width and may be coloured.
    pub fn stdout_is_terminal(&self) -> bool {
        matches!(self.backend, Backend::Terminal { .. }) && io::stdout().is_terminal()
    }

    /// How wide tables may be: the terminal's columns; none where they go elsewhere.
    pub fn width(&self) -> Option<u16> {
        self.width
    }

    /// Whether talk is silenced: `-q`.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says one line of talk; nothing under `-q`.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.insist(line);
        }
    }

    /// Says one line that `-q` does not silence: questions' context and errors.
    pub fn insist(&self, line: &str) {
        let line = escape(line);
        match &self.backend {
            // A closed stderr leaves nobody to talk to.
            Backend::Terminal { .. } => drop(writeln!(io::stderr().lock(), "{line}")),
            Backend::Scripted(script) => {
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.said.push(line.into_owned());
            }
        }
    }

    /// Says text of several lines that was escaped already.
    pub fn insist_rendered(&self, text: &str) {
        match &self.backend {
            Backend::Terminal { .. } => drop(io::stderr().lock().write_all(text.as_bytes())),
            Backend::Scripted(script) => {
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.said.extend(text.lines().map(str::to_owned));
            }
        }
    }

    /// Writes a finished document to stdout. A reader that went away is a quiet end.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        match &self.backend {
            Backend::Terminal { .. } => {
                let mut out = io::stdout().lock();
                match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                        Err(Failure::unexpected("cannot write to stdout").because(error))
                    }
                    _ => Ok(()),
                }
            }
            Backend::Scripted(script) => {
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.printed.push_str(text);
                Ok(())
            }
        }
    }

    /// Asks for one line, which the terminal itself edits: Ctrl-D is no answer, as everywhere.
    /// Blocks; a signal is served by whoever races this call.
    pub fn ask(&self, question: &str) -> Result<String, Failure> {
        let question = escape(question);
        match &self.backend {
            Backend::Terminal { .. } => {
                let mut prompt = String::new();
                // Writing to a string cannot fail.
                let _ = SimpleTheme.format_input_prompt(&mut prompt, &question, None);
                // Not locked while it waits: a signal has something to say.
                let _ = write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush());
                let mut line = String::new();
                match io::stdin().read_line(&mut line) {
                    Ok(0) => {
                        self.insist("");
                        Err(no_answer())
                    }
                    Ok(_) => Ok(line),
                    Err(error) => Err(no_answer().because(error)),
                }
            }
            Backend::Scripted(script) => {
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.said.push(question.into_owned());
                script.answers.pop_front().ok_or_else(no_answer)
            }
        }
    }

    /// Asks for a password without echo.
    pub fn ask_password(&self, question: &str) -> Result<SecretString, Failure> {
        self.remember();
        match &self.backend {
            Backend::Terminal { .. } => {
                rpassword::prompt_password(format!("{}: ", escape(question)))
                    .map(SecretString::from)
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::Interrupted => {
                            Failure::new(Kind::Interrupted, "interrupted")
                        }
                        _ => no_answer().because(error),
                    })
            }
            Backend::Scripted(_) => self.ask(question).map(SecretString::from),
        }
    }

    /// Refuses (exit 2) to read a password from a pipe where standard input is none.
    ///
    /// # Errors
    /// It is a terminal.
    pub fn can_read_password(&self) -> Result<(), Failure> {
        if matches!(self.backend, Backend::Scripted(_)) || !io::stdin().is_terminal() {
            return Ok(());
        }
        Err(Failure::usage("--admin-password-stdin reads a pipe, and stdin is a terminal")
            .hint("leave it out: the password is asked for without echo"))
    }

    /// Reads a password that was piped in: all of it, without the line end that `echo` adds.
    pub fn read_password(&self) -> Result<SecretString, Failure> {
        if let Backend::Scripted(_) = self.backend {
            return self.ask("").map(SecretString::from);
        }
        self.can_read_password()?;
        let mut bytes = Zeroizing::new(Vec::new());
        io::stdin()
            .lock()
            .take(LONGEST_PASSWORD)
            .read_to_end(&mut bytes)
            .map_err(|error| no_answer().because(error))?;
        // A line without a word is a wrong password; this is none.
        if bytes.is_empty() {
            return Err(Failure::usage("no password came by standard input").hint(
                "pipe it in: --admin-password-stdin < FILE, with the password in its only line",
            ));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::usage("the password on standard input is not UTF-8"))?;
        let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        Ok(SecretString::from(line.unwrap_or(text)))
    }
}

/// Whatever is longer was not meant as one.
const LONGEST_PASSWORD: u64 = 1024 * 1024;

impl Console {
    fn remember(&self) {
        *self.modes.lock().unwrap_or_else(PoisonError::into_inner) =
            rustix::termios::tcgetattr(io::stdin()).ok();
    }

    /// Gives the terminal its echo back after a prompt that a signal ended.
    pub fn restore(&self) {
        if let Some(modes) = self.modes.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = rustix::termios::tcsetattr(
                io::stdin(),
                rustix::termios::OptionalActions::Now,
                &modes,
            );
        }
        self.insist("");
    }
}

const NO_ANSWER: &str = "no answer was given; nothing was changed";

fn no_answer() -> Failure {
    Failure::refused(NO_ANSWER)
}
