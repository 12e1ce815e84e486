//! The real binary on a real terminal.

use std::process::Command;

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

use super::Invocation;

/// How long a text may take to appear, in milliseconds.
const PATIENCE: u64 = 20_000;

/// A run on a terminal of 40 lines and 120 columns, in echo mode as terminals are.
pub struct Terminal {
    session: PtySession,
    screen: String,
    _invocation: Option<Invocation>,
}

/// Starts the binary on a new terminal: stdin, stdout and stderr.
pub fn on_a_terminal(invocation: Invocation) -> Terminal {
    on_a_terminal_of(120, invocation)
}

/// The same on one of another width.
pub fn on_a_terminal_of(columns: u16, invocation: Invocation) -> Terminal {
    let session = open(&invocation.command(), columns);
    Terminal { session, screen: String::new(), _invocation: Some(invocation) }
}

/// Starts another program on a new terminal, in the command's environment alone.
pub fn command_on_a_terminal(command: &Command) -> Terminal {
    Terminal { session: open(command, 120), screen: String::new(), _invocation: None }
}

fn open(bare: &Command, columns: u16) -> PtySession {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("stty echo rows 40 cols {columns}; exec \"$0\" \"$@\""))
        .arg(bare.get_program())
        .args(bare.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm-256color");
    if let Some(folder) = bare.get_current_dir() {
        command.current_dir(folder);
    }
    spawn_command(command, Some(PATIENCE)).unwrap()
}

/// rexpect reads every byte as a character.
fn utf8(bytes: &str) -> String {
    let bytes = bytes.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
    String::from_utf8(bytes).expect("UTF-8 on the terminal")
}

impl Terminal {
    /// Waits for a text to appear after the one awaited before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> &mut Self {
        let bytes: String = text.bytes().map(char::from).collect();
        match self.session.exp_string(&bytes) {
            Ok(before) => self.screen.push_str(&(utf8(&before) + text)),
            Err(error) => panic!("no {text:?}: {error:?}\n--- before that\n{}", self.screen),
        }
        self
    }

    /// Types a line.
    pub fn send_line(&mut self, text: &str) -> &mut Self {
        self.session.send_line(text).unwrap();
        self
    }

    /// Types without the enter key, for arrows for example.
    pub fn send(&mut self, text: &str) -> &mut Self {
        self.session.send(text).unwrap();
        self.session.flush().unwrap();
        self
    }

    /// Types Ctrl and a letter.
    pub fn send_control(&mut self, letter: char) -> &mut Self {
        self.session.send_control(letter).unwrap();
        self
    }

    /// Waits for the end: all that was on the screen, and the exit code.
    #[track_caller]
    pub fn finish(mut self) -> (String, i32) {
        match self.session.exp_eof() {
            Ok(rest) => self.screen.push_str(&utf8(&rest)),
            Err(error) => panic!("does not end: {error}\n--- before that\n{}", self.screen),
        }
        let code = match self.session.process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            other => panic!("neither exited nor killed: {other:?}"),
        };
        (self.screen, code)
    }
}
