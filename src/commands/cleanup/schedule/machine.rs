//! Units and crontabs: shown, written, taken away. No server is needed for it.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::cleanup::schedule::changes::{self, Change, Changes};
use crate::cleanup::schedule::files::File;
use crate::cleanup::schedule::names::Names;
use crate::cleanup::schedule::{Setup, Via, standing, systemd};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::pipeline::local;
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Finding, Next, Outcome, Report, StepStatus};
use crate::settings::{Address, Endpoint};
use crate::tools::shell;
use crate::tools::systemctl::Systemctl;

use super::{Wish, data, setup, twice};

/// Where, and what of it.
struct Work<'a> {
    cx: &'a Context,
    setup: Setup,
    wish: Wish,
    vias: Vec<Via>,
    root: &'a Path,
    /// Only where the files are this machine's own.
    systemctl: Option<Systemctl>,
}

/// The whole of it.
pub(super) async fn run(
    cx: &Context,
    wish: Wish,
    via: Option<Via>,
    root: &Path,
) -> Result<Report, Failure> {
    let setup = setup(cx)?;
    let here = root == Path::new("/");
    let vias = match (via, wish) {
        (Some(via), _) => vec![via],
        (None, Wish::Remove) => vec![Via::Systemd, Via::Cron],
        (None, _) => vec![usual(root)],
    };
    let systemctl = Systemctl::at_work(&cx.env).filter(|_| here && vias.contains(&Via::Systemd));
    let work = Work { cx, setup, wish, vias, root, systemctl };
    if wish == Wish::Print {
        return Ok(work.printed());
    }
    let changes = match wish {
        Wish::Remove => changes::to_remove(&work.setup, &work.vias, root)?,
        _ => changes::to_install(&work.setup, work.via(), root)?,
    };
    let phrase = phrase(cx.endpoint.as_ref().map_err(Clone::clone)?);
    let plan = work.plan(changes)?;
    match local::agreed(cx, &phrase, plan).await {
        Ok(plan) => work.carry_out(&plan),
        Err(end) => end,
    }
}

/// systemd where its folder is, else cron.
fn usual(root: &Path) -> Via {
    match root.join("etc/systemd/system").is_dir() {
        true => Via::Systemd,
        false => Via::Cron,
    }
}

/// What `--confirm` names, as far as that is known without asking the server.
fn phrase(endpoint: &Endpoint) -> String {
    let local = |name: &str| ["localhost", "127.0.0.1", "::1"].contains(&name);
    let away = endpoint.hosts.iter().find(|host| match &host.address {
        Address::Socket(_) => false,
        Address::Name(name) => !local(name),
        Address::Ip(ip) => !ip.is_loopback(),
    });
    match away {
        None => endpoint.database().to_owned(),
        Some(host) => format!("{}@{}", endpoint.database(), host.name),
    }
}

impl Work<'_> {
    fn via(&self) -> Via {
        self.vias.first().copied().unwrap_or(Via::Cron)
    }

    /// The same once more, for another wish.
    fn command(&self, wish: &str) -> String {
        let root = match self.root == Path::new("/") {
            true => String::new(),
            false => format!(" --root {}", shell::word(&self.root.to_string_lossy())),
        };
        format!("markenmate cleanup schedule --via {} {wish}{root}", self.via().word())
    }

    fn timers(&self) -> Vec<String> {
        systemd::timers(&self.setup.names)
    }

    /// Of these files the timers: what is not there is not stopped.
    fn timers_of(&self, files: &[File]) -> Vec<String> {
        let folder = Path::new(Names::folder(Via::Systemd));
        let there = |name: &String| files.iter().any(|file| file.path == folder.join(name));
        self.timers().into_iter().filter(there).collect()
    }

    /// What an operator types where the tool does not, for these files.
    fn commands(&self, files: &[File]) -> Vec<String> {
        let words = |timers: Vec<String>| {
            timers.iter().map(|name| shell::word(name)).collect::<Vec<_>>().join(" ")
        };
        let reload = "systemctl daemon-reload".to_owned();
        let folder = Names::folder(Via::Systemd);
        match self.wish {
            _ if !self.vias.contains(&Via::Systemd) => Vec::new(),
            Wish::Remove if files.iter().all(|file| !file.path.starts_with(folder)) => Vec::new(),
            Wish::Remove => match words(self.timers_of(files)) {
                none if none.is_empty() => vec![reload],
                timers => vec![format!("systemctl disable --now {timers}"), reload],
            },
            _ => vec![reload, format!("systemctl enable --now {}", words(self.timers()))],
        }
    }

    /// Whoever else keeps the rhythm here.
    fn others(&self) -> Option<Finding> {
        let Setup { names, connection, .. } = &self.setup;
        let others = standing::on_machine(self.root, names, &connection.place);
        let others = others.into_iter().filter(|job| job.via != self.via().word());
        let ours = standing::planned(names, self.via());
        twice(&ours.into_iter().chain(others).collect::<Vec<_>>(), self.root)
    }

    fn printed(&self) -> Report {
        let mut report = Report::new(Outcome::Done);
        let environment = self.setup.environment();
        let mut files = self.setup.files(self.via());
        let mut show = |file: &File| {
            let heading = format!("{} (mode {:04o})", file.at(self.root).display(), file.mode);
            report.body.push(Block::Heading(heading));
            report.body.push(Block::Code(file.text.clone()));
        };
        show(&environment);
        files.iter().for_each(&mut show);
        if !self.setup.connection.is_whole {
            report.body.push(Block::Text(
                "the password of this connection is not written: add &password=PERCENT-ENCODED to the URL, or use a passfile"
                    .into(),
            ));
        }
        let commands = self.commands(&files);
        if !commands.is_empty() {
            report.body.push(Block::Heading("then".into()));
            report.body.push(Block::Code(commands.join("\n")));
        }
        report.findings.extend(self.others());
        files.insert(0, environment);
        report.data = self.data(&files);
        report.next = Some(Next::run(self.command("--install")));
        report
    }

    fn data(&self, files: &[File]) -> Value {
        let file = |file: &File| {
            let state = file.state(self.root, &self.setup.connection.place);
            json!({
                "path": file.at(self.root),
                "mode": format!("{:04o}", file.mode),
                "state": state.map_or("unreadable", |state| state.word()),
                "text": file.text,
            })
        };
        data(json!({
            "via": self.vias.iter().map(|via| via.word()).collect::<Vec<_>>(),
            "files": files.iter().map(file).collect::<Vec<_>>(),
            "commands": self.commands(files),
        }))
    }

    fn plan(&self, changes: Changes) -> Result<Plan<Vec<Change>>, Failure> {
        let Changes { changes, left } = changes;
        let mut steps: Vec<Step> = Vec::new();
        for change in &changes {
            let step = Step::new("file", change.title(self.root), Risk::Additive);
            steps.push(Step { detail: change.detail(self.root), ..step });
        }
        let files: Vec<_> = changes.iter().map(|change| change.file.clone()).collect();
        let commands = self.commands(&files);
        let is_due = !commands.is_empty() && (!steps.is_empty() || self.is_idle());
        if self.systemctl.is_some() && is_due {
            let command = Step::new("systemctl", commands.join(" && "), Risk::Additive);
            let at = if self.wish == Wish::Remove { 0 } else { steps.len() };
            steps.insert(at, command);
        }
        let mut screen: Vec<Block> = left.into_iter().map(Block::Text).collect();
        if steps.is_empty() {
            screen.push(Block::Text(match self.wish {
                Wish::Remove => {
                    "nothing to do: nothing of ours is scheduled for this database".into()
                }
                _ => "nothing to do: it is set up as it would be".into(),
            }));
        }
        Ok(Plan {
            data: self.data(&files),
            steps,
            screen,
            findings: match self.wish {
                Wish::Remove => Vec::new(),
                _ => self.others().into_iter().collect(),
            },
            question: match self.wish {
                Wish::Remove => "Remove this?".into(),
                _ => "Set this up?".into(),
            },
            asks_later: false,
            next: Some(Next::run("markenmate status")),
            work: changes,
        })
    }

    /// The files are as they should be, and systemd does not heed them.
    fn is_idle(&self) -> bool {
        let Some(systemctl) = self.systemctl.as_ref().filter(|_| self.wish == Wish::Install) else {
            return false;
        };
        let timers = self.timers();
        let asks = |what| {
            let arguments = [what, "--quiet"].into_iter().chain(timers.iter().map(String::as_str));
            systemctl.says_yes(&self.cx.env, &arguments.collect::<Vec<_>>())
        };
        !asks("is-enabled") || !asks("is-active")
    }

    fn carry_out(&self, plan: &Plan<Vec<Change>>) -> Result<Report, Failure> {
        let removes = self.wish == Wish::Remove;
        let files: Vec<_> = plan.work.iter().map(|change| change.file.clone()).collect();
        let commands = self.commands(&files);
        let timers = if removes { self.timers_of(&files) } else { self.timers() };
        let timers: Vec<&str> = timers.iter().map(String::as_str).collect();
        if removes && !timers.is_empty() {
            self.systemctl(&[&["disable", "--now"][..], &timers].concat())?;
        }
        for (n, change) in plan.work.iter().enumerate() {
            change.carry_out(self.root).map_err(|error| self.stuck(change, n, &error))?;
        }
        let started = match commands.is_empty() {
            true => Ok(()),
            false => self.systemctl(&["daemon-reload"]).and_then(|()| match removes {
                true => Ok(()),
                false => self.systemctl(&[&["enable", "--now"][..], &timers].concat()),
            }),
        };
        started.map_err(|failure| Failure {
            kind: Kind::Partial,
            next: Some(self.command(self.wish.flag())),
            ..failure
                .hint("the files are as they should be; look at: systemctl status, journalctl -xe")
        })?;
        let mut report = Report::new(Outcome::Done);
        report.steps = plan.steps.iter().map(|s| s.result(StepStatus::Done, None)).collect();
        report.body.clone_from(&plan.screen);
        report.findings.clone_from(&plan.findings);
        report.data = self.data(&files);
        if self.systemctl.is_none() && !commands.is_empty() {
            report.body.push(Block::Text(match self.root == Path::new("/") {
                true => "systemd does not run here; where it does:".into(),
                false => "on the machine it is for:".into(),
            }));
            report.body.push(Block::Code(commands.join("\n")));
        }
        report.next = Some(Next::run("markenmate status"));
        if !removes {
            report.undo = Some(self.command("--remove"));
        }
        Ok(report)
    }

    fn systemctl(&self, arguments: &[&str]) -> Result<(), Failure> {
        self.systemctl.as_ref().map_or(Ok(()), |systemctl| systemctl.run(&self.cx.env, arguments))
    }

    fn stuck(&self, change: &Change, done: usize, error: &io::Error) -> Failure {
        let what = format!("cannot {}", change.title(self.root));
        let failure = match (done, error.kind()) {
            (0, io::ErrorKind::PermissionDenied) => Failure::refused(what),
            (0, _) => Failure::unexpected(what),
            _ => Failure {
                next: Some(self.command(self.wish.flag())),
                ..Failure::new(Kind::Partial, what)
                    .hint(format!("{done} file(s) were changed before; run it again"))
            },
        };
        failure
            .because(error)
            .hint("as root: sudo; or copy what this prints: markenmate cleanup schedule")
    }
}
