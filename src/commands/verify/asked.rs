//! What was asked for by a flag is judged, or it is said that it was not.

use crate::checks::registry::{Check, Source};
use crate::checks::verdict::{Status, Verdict};
use crate::db::ledger::Head;
use crate::failure::Failure;
use crate::report::{Finding, Severity};
use crate::tools::shell;

use super::{Args, Since};

const CHAIN: &str = "ledger-chain";

/// Refuses an exported head that nothing would be compared with.
///
/// # Errors
/// Usage (exit 2).
pub(super) fn check_head(args: &Args, checks: &[&'static Check]) -> Result<(), Failure> {
    if args.ledger_head.is_none() || checks.iter().any(|check| check.id == CHAIN) {
        return Ok(());
    }
    Err(Failure::usage(format!("--ledger-head is for the check {CHAIN}, which is left out"))
        .hint(format!("leave out --ledger-head, or have it checked: --only {CHAIN}")))
}

/// An exported head that could not be looked for is not found: where the ledger is gone, so is the head.
pub(super) fn find_head(verdicts: &mut [Verdict], head: Option<&Head>) {
    let Some(head) = head else { return };
    let skipped = |v: &&mut Verdict| v.check.id == CHAIN && v.status == Status::Skipped;
    for verdict in verdicts.iter_mut().filter(skipped) {
        let why = verdict.reason.take().unwrap_or_default();
        let detail = format!("the exported head was not found: {why}");
        let remedy = match verdict.denied {
            true => "connect as the owner of the app's tables, or as a member of it".to_owned(),
            false => "is it the database that the head was exported from? look at the target line"
                .to_owned(),
        };
        let finding = verdict.check.finding(format!("head {head}"), detail, Some(remedy));
        *verdict = Verdict::found(verdict.check, vec![finding]);
    }
}

/// What a role may not look at, or not try, is not said to be sound.
pub(super) fn unjudged(verdicts: &[Verdict]) -> impl Iterator<Item = Finding> {
    verdicts.iter().filter(|verdict| verdict.denied).map(|verdict| {
        let reason = verdict.reason.as_deref().unwrap_or_default();
        let (detail, remedy) = match verdict.check.source {
            Source::Probe(_) | Source::App => (
                format!("was asked for, and was not judged: {reason}"),
                "on the primary, as the owner of the app's tables or as a member of it, where that may write: \
                 markenmate verify --probe --fail-on warning",
            ),
            _ => (
                format!("could not be judged: {reason}"),
                "grant what is missing (markenmate util grants prints all that a reader needs), or leave the check out: \
                 --skip with its id",
            ),
        };
        Finding {
            id: verdict.check.id.into(),
            severity: Severity::Warning,
            title: verdict.check.title.into(),
            subject: format!("check {}", verdict.check.id),
            detail,
            remedy: remedy.into(),
        }
    })
}

/// The same command once more, with the flags that say what is judged.
pub(super) fn again(args: &Args) -> String {
    let mut line = String::from("markenmate verify");
    let mut flag = |name: &str, value: Option<&str>| {
        line.push_str(" --");
        line.push_str(name);
        if let Some(value) = value {
            line.push(if value.starts_with('-') { '=' } else { ' ' });
            line.push_str(&shell::word(value));
        }
    };
    for (name, checks) in [("only", &args.only), ("skip", &args.skip)] {
        let ids: Vec<_> = checks.iter().map(|check| check.id).collect();
        if !ids.is_empty() {
            flag(name, Some(&ids.join(",")));
        }
    }
    if let Some(to) = &args.to {
        flag("to", Some(to));
    }
    if args.fail_on == Severity::Warning {
        flag("fail-on", Some("warning"));
    }
    match args.since {
        Some(Since::At(at)) => flag("since", Some(&at.to_rfc3339())),
        Some(Since::Ago(age)) => flag("since", Some(&humantime::format_duration(age).to_string())),
        None => {}
    }
    if let Some(head) = &args.ledger_head {
        flag("ledger-head", Some(&head.to_string()));
    }
    if args.probe {
        flag("probe", None);
    }
    if let Some(url) = &args.app_url {
        flag("app-url", Some(url));
    }
    for (name, file) in [("app-cookie-file", &args.app_cookie_file), ("junit", &args.junit)] {
        if let Some(file) = file.as_deref().and_then(std::path::Path::to_str) {
            flag(name, Some(file));
        }
    }
    if args.github {
        flag("github", None);
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;
    use crate::checks::registry;

    fn args(line: &str) -> Args {
        let words = std::iter::once("verify").chain(line.split_whitespace());
        let matches = Args::augment_args(clap::Command::new("verify")).get_matches_from(words);
        Args::from_arg_matches(&matches).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_next_run_judges_the_same() {
        let head = format!("--ledger-head 7:{}", "0f".repeat(32));
        for line in [
            "",
            "--only orphans,history",
            "--skip orphans --to 2 --fail-on warning --probe",
            "--since 2025-11-03T08:00:00+00:00 --app-url https://x.example --app-cookie-file c",
            "--since 2h --junit v.xml --github",
            &head,
        ] {
            assert_eq!(again(&args(line)), format!("markenmate verify {line}").trim_end());
        }
        assert_eq!(again(&args("--junit=-x")), "markenmate verify --junit=-x");
    }

    #[test]
    fn a_head_wants_its_check() {
        let head = format!("--ledger-head 7:{}", "0f".repeat(32));
        for (more, code) in [
            ("", None),
            ("--only orphans", Some(2)),
            ("--skip ledger-chain", Some(2)),
            ("--only ledger-chain", None),
        ] {
            let args = args(&format!("{head} {more}"));
            let checks = registry::select(&args.only, &args.skip).unwrap_or_default();
            let refused = check_head(&args, &checks).err().map(|f| f.kind.exit_code());
            assert_eq!(refused, code, "{more}");
        }
    }
}
