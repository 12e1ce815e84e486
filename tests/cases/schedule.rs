//! `cleanup schedule`: units and crontabs in a scratch root, whatever the database is called; pg_cron's job at work.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use markenmate::cleanup::schedule::names::Names;
use markenmate::cleanup::schedule::standing;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::own_server::{pg_ctl, succeed};
use crate::support::{
    Invocation, Session, TestDb, database_on, markenmate, start, start_with_cron, wait_until,
};

const URL: &str = "postgresql://app@db.internal:5433/markenmate?sslmode=verify-full";

/// Names that a file, a unit, a crontab or a shell would each take for something else.
const HOSTILE: [&str; 9] = [
    "my-db",
    "a.b",
    "a b",
    "../../etc/passwd",
    "50%n $HOME `id` $(id)",
    "it's \"quoted\"",
    "back\\slash",
    "Müller\u{202e}",
    "line\nbreak; sha256 x",
];

fn schedule(args: &[&str], root: &Path) -> Invocation {
    let root = root.to_str().unwrap();
    markenmate(&[&["cleanup", "schedule", "--root", root], args].concat())
}

/// Every file below a folder: its mode and bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
                let name = path.strip_prefix(root).unwrap().to_path_buf();
                found.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    found
}

fn conninfo(database: &str) -> String {
    let value = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!("host=db.internal user=app dbname='{value}'")
}

#[track_caller]
fn systemd_takes(root: &Path) {
    let folder = root.join("etc/systemd/system");
    let units = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let units: Vec<_> = units
        .filter(|path| path.extension().is_some_and(|e| e == "service" || e == "timer"))
        .collect();
    assert_eq!(units.len() % 4, 0, "{units:?}");
    let Ok(output) =
        Command::new("systemd-analyze").arg("verify").arg("--man=no").args(&units).output()
    else {
        return println!("systemd-analyze is not installed: the units were not read");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // It also says what is wrong with the machine's own units.
    let ours = said.lines().filter(|line| line.contains("markenmate"));
    assert!(output.status.success() && ours.clone().count() == 0, "{}", ours.collect::<String>());
}

#[test]
fn units_are_installed_twice_and_removed() {
    let root = TempDir::new().unwrap();
    let run = |args: &[&str]| schedule(args, root.path()).url(URL).run().assert_code(0);
    run(&["--via", "systemd", "--install", "--dry-run"]);
    assert_eq!(files(root.path()), BTreeMap::new());
    let printed = run(&["--via", "systemd"]);
    let installed = run(&["--via", "systemd", "--install", "--yes"]);
    assert!(
        installed
            .stdout
            .contains("systemctl enable --now markenmate-cleanup-tokens-markenmate.timer"),
        "{}",
        installed.stdout
    );
    let first = files(root.path());
    let names: Vec<_> =
        first.iter().map(|(name, (mode, _))| format!("{} {mode:o}", name.display())).collect();
    assert_eq!(
        names,
        [
            "etc/markenmate/markenmate.env 600",
            "etc/systemd/system/markenmate-cleanup-audit-markenmate.service 644",
            "etc/systemd/system/markenmate-cleanup-audit-markenmate.timer 644",
            "etc/systemd/system/markenmate-cleanup-tokens-markenmate.service 644",
            "etc/systemd/system/markenmate-cleanup-tokens-markenmate.timer 644",
        ]
    );
    // What is printed is what is written.
    for (_, bytes) in first.values() {
        assert!(printed.stdout.contains(std::str::from_utf8(bytes).unwrap().trim_end()));
    }
    let text = |name: &str| {
        String::from_utf8(
            first[Path::new(&format!("etc/systemd/system/markenmate-cleanup-{name}"))].1.clone(),
        )
        .unwrap()
    };
    let service = text("tokens-markenmate.service");
    for line in [
        "Type=oneshot",
        "SuccessExitStatus=7",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "EnvironmentFile=/etc/markenmate/markenmate.env",
    ] {
        assert!(service.lines().any(|l| l == line), "{line}: {service}");
    }
    let exec = format!("ExecStart={} cleanup tokens --yes", env!("CARGO_BIN_EXE_markenmate"));
    assert!(service.contains(&exec), "{service}");
    assert!(text("tokens-markenmate.timer").contains("OnCalendar=*:0/10\nPersistent=true\n"));
    assert!(
        text("audit-markenmate.timer")
            .contains("OnCalendar=monthly\nPersistent=true\nRandomizedDelaySec=1h\n")
    );
    systemd_takes(root.path());

    let again = run(&["--via", "systemd", "--install", "--format", "json"]).json();
    assert_eq!(again["outcome"], "nothing_to_do");
    assert_eq!(files(root.path()), first);
    // Where it cannot be asked for, it is refused, and nothing is done.
    let refused = schedule(&["--remove"], root.path()).url(URL).run().assert_code(4);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(files(root.path()), first);
    run(&["--remove", "--yes"]);
    assert_eq!(files(root.path()), BTreeMap::new());
    assert!(!root.path().join("etc/markenmate").exists());
    assert_eq!(run(&["--remove", "--format", "json"]).json()["outcome"], "nothing_to_do");
}

#[test]
fn whatever_the_database_is_called_each_keeps_its_own() {
    let root = TempDir::new().unwrap();
    let mut count = 0;
    for database in HOSTILE {
        let root = root.path();
        for via in ["systemd", "cron"] {
            schedule(&["--via", via, "--install", "--yes"], root)
                .url(&conninfo(database))
                .run()
                .assert_code(0);
        }
        count += 6;
        let all = files(root);
        assert_eq!(all.len(), count, "{database}: {:?}", all.keys());
        for (name, (_, bytes)) in &all {
            let folders = ["etc/markenmate", "etc/systemd/system", "etc/cron.d"];
            assert!(folders.contains(&name.parent().unwrap().to_str().unwrap()), "{name:?}");
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(text.is_ascii() && text.starts_with("# Written by markenmate"), "{text}");
        }
        // cron passes over any other name.
        for entry in fs::read_dir(root.join("etc/cron.d")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)), "{name}");
        }
    }
    systemd_takes(root.path());
    // systemd's own escape names the same units.
    if let Ok(output) = Command::new("systemd-escape").args(HOSTILE).output() {
        let escaped = String::from_utf8(output.stdout).unwrap();
        for word in escaped.trim_end().split(' ') {
            let unit = format!("markenmate-cleanup-tokens-{word}.timer");
            assert!(root.path().join("etc/systemd/system").join(&unit).is_file(), "{unit}");
        }
    }
    for database in HOSTILE {
        let at = conninfo(database);
        schedule(&["--remove", "--yes"], root.path()).url(&at).run().assert_code(0);
        count -= 6;
        assert_eq!(files(root.path()).len(), count, "{database}");
    }
}

/// What the shell makes of cron's line, and of the file with the connection, is the very database.
#[test]
fn crons_line_reaches_the_database_and_takes_seven_for_success() {
    for database in HOSTILE {
        let root = TempDir::new().unwrap();
        let home = TempDir::new_in(root.path()).unwrap();
        schedule(&["--via", "cron", "--install", "--yes"], root.path())
            .url(&conninfo(database))
            .run()
            .assert_code(0);
        let all = files(root.path());
        let (name, (mode, bytes)) =
            all.iter().find(|(name, _)| name.starts_with("etc/cron.d")).unwrap();
        assert_eq!(*mode, 0o644, "{name:?}");
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(!text.contains("MAILTO="), "{text}");
        let line = text.lines().find(|line| line.starts_with("*/10 * * * * ")).unwrap();
        let user = succeed(Command::new("id").arg("-un"));
        let command = line.strip_prefix(&format!("*/10 * * * * {} ", user.trim())).unwrap();
        // As cron does: a bare percent sign would end it.
        assert!(!command.replace("\\%", "").contains('%'), "{command}");
        // The binary is a shell that says what it was given; the connection's file is below the scratch root.
        let etc = format!("{}/etc/markenmate", root.path().display());
        let command = command.replace("\\%", "%").replace("/etc/markenmate", &etc);
        for (code, expected) in [(0, 0), (7, 0), (4, 1)] {
            let stub = home.path().join("stub");
            fs::write(
                &stub,
                format!("#!/bin/sh\nprintf '%s|%s' \"$*\" \"$DATABASE_URL\" >&2\nexit {code}\n"),
            )
            .unwrap();
            fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
            let command = command.replace(env!("CARGO_BIN_EXE_markenmate"), stub.to_str().unwrap());
            let output =
                Command::new("/bin/sh").args(["-c", &command]).env_clear().output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let (arguments, url) = said.split_once('|').unwrap();
            assert_eq!(arguments, "cleanup tokens --yes --quiet");
            assert_eq!(output.status.code(), Some(expected), "{said}");
            assert!(output.stdout.is_empty());
            let env = markenmate::settings::Env::of([("DATABASE_URL", url)]);
            let endpoint =
                markenmate::settings::Endpoint::resolve(&Default::default(), &env).unwrap();
            assert_eq!((endpoint.database(), endpoint.user()), (database, "app"));
        }
    }
}

/// Wherever the binary is: systemd looks whether it is there, the shell starts it.
#[test]
fn a_binary_in_a_folder_of_any_name_is_found() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = folder.path().join("root");
    for name in ["plain", "a b", "50%n", "ü;&#"] {
        let bin = folder.path().join(name);
        fs::create_dir(&bin).unwrap();
        let binary = bin.join("markenmate");
        fs::hard_link(env!("CARGO_BIN_EXE_markenmate"), &binary).unwrap();
        for via in ["systemd", "cron"] {
            let mut command = Command::new(&binary);
            command
                .args(["cleanup", "schedule", "--yes", "--install", "--via", via, "--root"])
                .arg(&root);
            succeed(command.env("DATABASE_URL", URL));
        }
        systemd_takes(&root);
        let crontab = fs::read_to_string(root.join("etc/cron.d/markenmate-markenmate")).unwrap();
        let line = crontab.lines().find(|line| line.starts_with("17 3 1 * * ")).unwrap();
        let command = line.splitn(7, ' ').nth(6).unwrap();
        // A bare percent sign would end it.
        assert!(!command.replace("\\%", "").contains('%'), "{command}");
        let command = command.replace("\\%", "%");
        // Without a database to go to, and so with what it says of that.
        let command = command.replace("/etc/markenmate/markenmate.env", "/dev/null");
        let output = Command::new("/bin/sh").args(["-c", &command]).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("no database was named"), "{name}: {said}");
    }
    for name in ["$x", "it's", "\"q\"", "back\\slash", "line\nbreak"] {
        let bin = folder.path().join(name);
        fs::create_dir(&bin).unwrap();
        let binary = bin.join("markenmate");
        fs::hard_link(env!("CARGO_BIN_EXE_markenmate"), &binary).unwrap();
        let mut command = Command::new(&binary);
        let output =
            command.args(["cleanup", "schedule"]).env("DATABASE_URL", URL).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{name:?}");
    }
}

#[test]
fn what_was_changed_by_hand_is_kept_and_what_is_not_ours_is_left() {
    let root = TempDir::new().unwrap();
    let run = |args: &[&str], code| schedule(args, root.path()).url(URL).run().assert_code(code);
    let install = ["--via", "cron", "--install", "--yes"];
    run(&install, 0);
    let crontab = root.path().join("etc/cron.d/markenmate-markenmate");
    let original = fs::read_to_string(&crontab).unwrap();
    let mine = original.replace("*/10", "*/5");
    fs::write(&crontab, &mine).unwrap();
    let said = run(&install, 0);
    assert!(said.stdout.contains("which was changed by hand"), "{}", said.stdout);
    assert_eq!(fs::read_to_string(&crontab).unwrap(), original);
    let kept = root.path().join("etc/cron.d/markenmate-markenmate.by-hand");
    assert_eq!(fs::read_to_string(&kept).unwrap(), mine);
    // What was kept once is not lost to the next change.
    let again = mine.replace("17 3", "18 3");
    fs::write(&crontab, &again).unwrap();
    let said = run(&install, 0);
    let second = root.path().join("etc/cron.d/markenmate-markenmate.by-hand-2");
    assert!(said.stdout.contains(&format!("kept as {}", second.display())), "{}", said.stdout);
    assert_eq!(fs::read_to_string(&kept).unwrap(), mine);
    assert_eq!(fs::read_to_string(&second).unwrap(), again);
    fs::write(&crontab, again.replace("18 3", "19 3")).unwrap();
    let said = run(&["--remove", "--yes"], 0);
    let third = root.path().join("etc/cron.d/markenmate-markenmate.by-hand-3");
    assert!(said.stdout.contains(&format!("kept as {}", third.display())), "{}", said.stdout);
    assert!(!crontab.exists() && kept.exists() && second.exists());
    assert_eq!(fs::read_to_string(&third).unwrap(), again.replace("18 3", "19 3"));
    for kept in [kept, second, third] {
        fs::remove_file(kept).unwrap();
    }

    // A file of somebody else's stops it; another database of the same name, too.
    fs::write(&crontab, "0 0 * * * root true\n").unwrap();
    let said = run(&install, 4);
    assert!(said.stderr.contains("not ours"), "{}", said.stderr);
    let said = run(&["--remove", "--via", "cron", "--yes"], 0);
    assert!(said.stdout.contains("is left: it is not ours"), "{}", said.stdout);
    assert_eq!(fs::read_to_string(&crontab).unwrap(), "0 0 * * * root true\n");
    fs::remove_file(&crontab).unwrap();
    run(&install, 0);
    let elsewhere = "postgresql://app@staging/markenmate";
    let said = schedule(&install, root.path()).url(elsewhere).run().assert_code(4);
    assert!(said.stderr.contains("markenmate@db.internal:5433"), "{}", said.stderr);
    // What is said there takes away that one, wherever it is pasted.
    let typed = [
        &["-d", elsewhere, "cleanup", "schedule", "--root", root.path().to_str().unwrap()],
        &install[..],
    ]
    .concat();
    for said in [said, markenmate(&typed).run().assert_code(4)] {
        let hint =
            said.stderr.lines().find_map(|line| line.split_once("take that one away: ")).unwrap();
        let mut words = Command::new("/bin/sh");
        words.args(["-c", &format!("markenmate() {{ printf '%s\\n' \"$@\"; }}; {}", hint.1)]);
        let words = succeed(&mut words);
        let words: Vec<&str> = words.lines().chain(["--via", "cron", "--yes"]).collect();
        assert_eq!(words[1], "postgresql:///markenmate?host=db.internal&port=5433");
        let before = files(root.path());
        markenmate(&words).run().assert_code(0);
        assert_eq!(files(root.path()), BTreeMap::new());
        run(&install, 0);
        assert_eq!(files(root.path()), before);
    }
    schedule(&["--remove", "--yes"], root.path()).url(elsewhere).run().assert_code(0);
    assert_eq!(files(root.path()).len(), 2);
    // A mode that was opened is no change of ours to keep: it is mended.
    let environment = root.path().join("etc/markenmate/markenmate.env");
    fs::set_permissions(&environment, fs::Permissions::from_mode(0o644)).unwrap();
    run(&install, 0);
    assert_eq!(fs::metadata(&environment).unwrap().permissions().mode() & 0o777, 0o600);
    // Both keep the connection; the last of them takes it along.
    run(&["--via", "systemd", "--install", "--yes"], 0);
    run(&["--via", "cron", "--remove", "--yes"], 0);
    assert!(environment.exists());
    run(&["--remove", "--yes"], 0);
    assert_eq!(files(root.path()), BTreeMap::new());
}

/// crontab(5) has it set in the file; what else is there is whoever's put it there.
#[test]
fn environment_and_what_stands_before_ours_stay_in_the_crontab() {
    let root = TempDir::new().unwrap();
    let run = |args: &[&str], code| schedule(args, root.path()).url(URL).run().assert_code(code);
    let install = ["--via", "cron", "--install", "--yes"];
    let remove = ["--via", "cron", "--remove", "--yes"];
    let crontab = root.path().join("etc/cron.d/markenmate-markenmate");
    let read = || fs::read_to_string(&crontab).unwrap();
    run(&install, 0);
    let ours = read();
    let theirs = "# the machine's own\n0 0 * * * root true\nMAILTO=\"ops@example.org\"\n";
    // Before ours, within it, and behind it.
    let within =
        ours.replace("SHELL=/bin/sh\n", "SHELL=/bin/sh\nPATH = /usr/bin:/bin\n") + "HOME=/tmp\n";
    fs::write(&crontab, format!("{theirs}{within}")).unwrap();
    assert_eq!(
        run(&[&install[..], &["--format", "json"]].concat(), 0).json()["outcome"],
        "nothing_to_do"
    );
    assert_eq!(read(), format!("{theirs}{within}"));
    let names = Names::of("markenmate");
    let seen = || {
        let seen = standing::on_machine(root.path(), &names, "markenmate@db.internal:5433");
        seen.iter().map(|job| format!("{} {}", job.job, job.state)).collect::<Vec<_>>()
    };
    assert_eq!(seen(), ["tokens installed", "audit installed"]);
    // Of another run: ours is replaced, and nothing else.
    let env = format!("{theirs}PATH = /usr/bin:/bin\nHOME=/tmp\n");
    let (first, rest) = ours.split_once('\n').unwrap();
    let old = rest.replace("*/10", "*/20");
    let stamped = format!(
        "{}{}\n{old}",
        &first[..first.len() - 64],
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&old))
    );
    fs::write(&crontab, format!("{env}{stamped}")).unwrap();
    run(&install, 0);
    assert_eq!(read(), format!("{env}{ours}"));
    // Changed by hand: what was changed is kept beside it, theirs is in both.
    let by_hand = read().replace("*/10", "*/5");
    fs::write(&crontab, &by_hand).unwrap();
    assert_eq!(seen()[0], "tokens changed_by_hand");
    run(&install, 0);
    assert_eq!(read(), format!("{env}{ours}"));
    let kept = root.path().join("etc/cron.d/markenmate-markenmate.by-hand");
    assert_eq!(fs::read_to_string(&kept).unwrap(), by_hand);
    fs::write(&crontab, &by_hand).unwrap();
    let said = run(&remove, 0);
    assert!(said.stdout.contains("what else is in it stays"), "{}", said.stdout);
    assert_eq!(read(), env);
    assert!(crontab.with_file_name("markenmate-markenmate.by-hand-2").exists());
    assert_eq!(seen(), [""; 0]);
    assert!(run(&install, 4).stderr.contains("not ours"));
    // Where there is nothing but environment it is ours to write into, and left as it was.
    fs::write(&crontab, "# mail\nMAILTO=ops").unwrap();
    run(&install, 0);
    assert_eq!(read(), format!("# mail\nMAILTO=ops\n{ours}"));
    run(&remove, 0);
    assert_eq!(read(), "# mail\nMAILTO=ops\n");
    assert_eq!(run(&["--remove", "--format", "json"], 0).json()["outcome"], "nothing_to_do");
}

#[test]
fn a_unit_that_was_changed_by_hand_twice_is_taken_away() {
    let root = TempDir::new().unwrap();
    let run = |args: &[&str]| schedule(args, root.path()).url(URL).run().assert_code(0);
    let install = ["--via", "systemd", "--install", "--yes"];
    run(&install);
    let unit = root.path().join("etc/systemd/system/markenmate-cleanup-tokens-markenmate.service");
    for n in 1..=2 {
        let text = fs::read_to_string(&unit).unwrap() + &format!("# {n}\n");
        fs::write(&unit, text).unwrap();
        run(if n == 1 { &install[..] } else { &["--remove", "--yes"] });
    }
    let names: Vec<_> = files(root.path())
        .into_iter()
        .map(|(name, (_, bytes))| (name, String::from_utf8(bytes).unwrap()))
        .collect();
    let names: Vec<_> = names
        .iter()
        .map(|(name, text)| format!("{} {}", name.display(), text.lines().last().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            "etc/systemd/system/markenmate-cleanup-tokens-markenmate.service.by-hand # 1",
            "etc/systemd/system/markenmate-cleanup-tokens-markenmate.service.by-hand-2 # 2",
        ]
    );
}

#[test]
fn no_password_is_written_anywhere() {
    let root = TempDir::new().unwrap();
    let install = ["--via", "systemd", "--install", "--yes"];
    let with = "postgresql://app:s3cret@db.internal/markenmate";
    for run in [
        schedule(&install, root.path()).url(with),
        schedule(&install, root.path())
            .url("postgresql://app@db.internal/markenmate")
            .env("PGPASSWORD", "s3cret"),
    ] {
        let said = run.run().assert_code(4);
        assert!(
            said.stderr.contains("/etc/markenmate/markenmate.env")
                && !said.stderr.contains("s3cret"),
            "{}",
            said.stderr
        );
        assert_eq!(files(root.path()), BTreeMap::new());
    }
    let printed = schedule(&["--via", "systemd", "--format", "json"], root.path())
        .url(with)
        .run()
        .assert_code(0);
    assert!(!printed.stdout.contains("s3cret"));
    // What the operator put there is used as it is, and stays.
    let environment = root.path().join("etc/markenmate/markenmate.env");
    fs::create_dir_all(environment.parent().unwrap()).unwrap();
    fs::write(&environment, "DATABASE_URL='postgresql://app:s3cret@db.internal/markenmate'\n")
        .unwrap();
    let said = schedule(&install, root.path()).url(with).run().assert_code(0);
    assert!(said.stdout.contains("is yours, and used as it is"), "{}", said.stdout);
    let said = schedule(&["--remove", "--yes"], root.path()).url(with).run().assert_code(0);
    assert!(said.stdout.contains("holds what you put there"), "{}", said.stdout);
    assert_eq!(
        files(root.path()).keys().collect::<Vec<_>>(),
        [Path::new("etc/markenmate/markenmate.env")]
    );
    // A passfile is named, and not copied.
    let passfile = root.path().join("pass");
    fs::write(&passfile, "*:*:*:*:s3cret\n").unwrap();
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(&environment).unwrap();
    schedule(&install, root.path())
        .url("postgresql://app@db.internal/markenmate")
        .env("PGPASSFILE", passfile.to_str().unwrap())
        .run()
        .assert_code(0);
    let text = fs::read_to_string(&environment).unwrap();
    assert!(
        text.contains(&format!("passfile={}", passfile.display())) && !text.contains("s3cret"),
        "{text}"
    );
    // And a job with a /tmp of its own would not find it there.
    let service =
        root.path().join("etc/systemd/system/markenmate-cleanup-tokens-markenmate.service");
    assert!(!fs::read_to_string(service).unwrap().contains("PrivateTmp"));
}

#[test]
fn what_this_machine_keeps_is_seen() {
    let root = TempDir::new().unwrap();
    let run = |args: &[&str]| schedule(args, root.path()).url(URL).run().assert_code(0);
    run(&["--via", "systemd", "--install", "--yes"]);
    run(&["--via", "cron", "--install", "--yes"]);
    let crontab = root.path().join("etc/cron.d/markenmate-markenmate");
    fs::write(&crontab, fs::read_to_string(&crontab).unwrap() + "# mine\n").unwrap();
    let names = Names::of("markenmate");
    let seen = |place: &str| {
        let seen = standing::on_machine(root.path(), &names, place);
        seen.iter().map(|job| format!("{} {} {}", job.job, job.via, job.state)).collect::<Vec<_>>()
    };
    assert_eq!(
        seen("markenmate@db.internal:5433"),
        [
            "tokens systemd installed",
            "audit systemd installed",
            "tokens cron changed_by_hand",
            "audit cron changed_by_hand"
        ]
    );
    assert_eq!(seen("markenmate@staging:5432"), <[String; 0]>::default());
}

/// Whoever else keeps the rhythm is named, and only what is there is taken away.
#[test]
fn two_keepers_of_one_database_are_said_and_go_one_by_one() {
    let root = TempDir::new().unwrap();
    let run = |args: &[&str]| {
        let args = [args, &["--format", "json"]].concat();
        schedule(&args, root.path()).url(URL).run().assert_code(0).json()
    };
    let first = run(&["--via", "cron", "--install", "--yes"]);
    assert_eq!(first["findings"], serde_json::json!([]), "{first:#}");
    // Also where it is only looked at, and where nothing is left to do.
    for args in
        [&["--install", "--dry-run"][..], &[], &["--install", "--yes"], &["--install", "--yes"]]
    {
        let said = run(&[&["--via", "systemd"], args].concat());
        let found = &said["findings"][0];
        assert_eq!(found["id"], "scheduled-twice", "{said:#}");
        let detail = found["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("tokens by systemd (markenmate-cleanup-tokens-markenmate.timer) and by cron (/etc/cron.d/markenmate-markenmate); audit by"),
            "{detail}"
        );
        let remedy = format!(
            "markenmate cleanup schedule --via cron --remove --root {}",
            root.path().display()
        );
        assert_eq!(found["remedy"], remedy.as_str(), "{said:#}");
    }
    let cron = run(&["--via", "cron", "--install", "--dry-run"]);
    assert!(
        cron["findings"][0]["remedy"].as_str().unwrap().contains("--via systemd --remove"),
        "{cron:#}"
    );

    // Of a timer that is gone already nothing is said.
    let tokens = "etc/systemd/system/markenmate-cleanup-tokens-markenmate.timer";
    fs::remove_file(root.path().join(tokens)).unwrap();
    let removed = run(&["--via", "systemd", "--remove", "--yes"]);
    assert_eq!(
        removed["data"]["schedule"]["commands"],
        serde_json::json!([
            "systemctl disable --now markenmate-cleanup-audit-markenmate.timer",
            "systemctl daemon-reload"
        ])
    );
    // Where there was only cron, nothing is said of systemd.
    let removed = schedule(&["--remove", "--yes"], root.path()).url(URL).run().assert_code(0);
    assert!(
        removed.stdout.contains("/etc/cron.d/") && !removed.stdout.contains("systemctl"),
        "{}",
        removed.stdout
    );
    assert_eq!(run(&["--remove", "--yes"])["data"]["schedule"]["commands"], serde_json::json!([]));
}

#[test]
fn status_says_when_each_job_last_ran() {
    let db = TestDb::migrated();
    let status = || {
        markenmate(&["status", "--format", "json"]).db(&db).run().assert_code(0).json()["data"]["schedule"].clone()
    };
    assert_eq!(status(), serde_json::json!({ "jobs": [], "last_runs": [], "unseen": null }));
    crate::support::sql(
        &db,
        "INSERT INTO markenmate.cleanup (job, run_id, cut_off, began_at, last_at, finished_at, outcome, deleted, archived, remaining) VALUES
         ('tokens', 'b', now(), '2025-11-04 08:00Z', '2025-11-04 08:00Z', '2025-11-04 08:01Z', 'stopped', 7, 0, 3),
         ('tokens', 'a', now(), '2025-11-03 08:00Z', '2025-11-03 08:00Z', '2025-11-03 08:00Z', 'done', 5, 0, 0),
         ('audit', 'c', now(), '2025-11-01 08:00Z', '2025-11-01 08:00Z', NULL, NULL, 9, 9, NULL)",
    );
    let seen = status();
    let last = |n: usize, key: &str| seen["last_runs"][n][key].clone();
    assert_eq!(
        (last(0, "job"), last(0, "finished_at"), last(0, "archived")),
        ("audit".into(), Value::Null, 9.into())
    );
    assert_eq!(
        (last(1, "run_id"), last(1, "finished_at"), last(1, "remaining")),
        ("b".into(), "2025-11-04T08:01:00Z".into(), 3.into())
    );
    let said = markenmate(&["status"]).db(&db).run().assert_code(0).stdout;
    for line in [
        "nothing, as far as can be seen from here",
        "2025-11-01T08:00:00Z: 9 row(s) archived; ended in the middle, run again: markenmate cleanup audit",
        "2025-11-04T08:01:00Z: 7 row(s) deleted; stopped, 3 row(s) left: the next run takes them",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // What is to be pasted names the database that was named.
    let named = markenmate(&["-d", &db.url, "status"]).run().assert_code(0).stdout;
    assert!(named.contains("run again: markenmate -d '"), "{named}");
    for command in ["cleanup", "verify", "migrate", "set-master-admin"] {
        assert!(!named.contains(&format!("markenmate {command}")), "{named}");
    }
}

/// The distribution's own pg_cron, which lives in another database, and one job a database.
#[test]
fn pg_cron_runs_the_job() {
    let server = start_with_cron();
    let cron = database_on(&server, "live", &[]);
    Session::open(&cron)
        .sql("CREATE EXTENSION pg_cron; CREATE ROLE app LOGIN; CREATE ROLE other LOGIN");
    Session::open(&cron).sql("ALTER SYSTEM SET cron.use_background_workers = on");
    pg_ctl(&server, "restart", "fast");
    let name = "it's a \\ \"db\"";
    let url = hostile_app(&server, name);
    let app = Session::open(&url);
    let run = |args: &[&str], code: i32| {
        let args = [&["cleanup", "schedule", "--via", "pg-cron"], args].concat();
        markenmate(&args).url(&url).run().assert_code(code)
    };
    let jobs = || {
        Session::open(&cron).sql("SELECT jobname, schedule, database, username, active::text FROM cron.job ORDER BY jobid")
    };
    // Shown, and nothing done.
    assert!(run(&[], 0).stdout.contains("cron.schedule_in_database("));
    run(&["--install", "--dry-run"], 0);
    run(&["--install"], 4);
    assert_eq!(jobs(), <[Vec<Option<String>>; 0]>::default());
    run(&["--install", "--yes"], 0);
    let expected = ["markenmate-tokens-it's a \\ \"db\"", "*/10 * * * *", name, "app", "true"]
        .map(|text| Some(text.to_owned()));
    assert_eq!(jobs(), [expected.to_vec()]);
    assert_eq!(run(&["--install", "--format", "json"], 0).json()["outcome"], "nothing_to_do");
    assert_eq!(
        app.sql("SELECT subject FROM markenmate.ledger WHERE command = 'cleanup schedule'").len(),
        1
    );

    // By pg_cron itself, only sooner than in ten minutes.
    app.sql("INSERT INTO public.\"user\" (id, name, email) VALUES ('u', 'x', 'u@x.org');
             INSERT INTO public.step_up_token (token, user_id, expires_at)
             SELECT 't' || n, 'u', now() + CASE WHEN n <= 3 THEN -1 ELSE 1 END * interval '1 hour' FROM generate_series(1, 5) n");
    Session::open(&cron).sql("SELECT cron.alter_job(jobid, schedule := '* * * * *') FROM cron.job");
    let runs = || {
        app.sql("SELECT run_id, outcome, deleted::text, first_id::text, last_id::text, (finished_at IS NOT NULL)::text FROM markenmate.cleanup ORDER BY cleanup_id")
    };
    let ran = wait_until(Duration::from_secs(100), || !runs().is_empty());
    let said = Session::open(&cron).sql("SELECT status, return_message FROM cron.job_run_details");
    assert!(ran, "{said:?}");
    let first =
        ["pg_cron", "done", "3", "1", "3", "true"].map(|text| Some(text.to_owned())).to_vec();
    assert_eq!(runs()[0], first);
    assert_eq!(app.sql("SELECT id FROM public.step_up_token").len(), 2);
    // Runs that find nothing are one row, whose time moves on.
    let job = Session::open(&cron).sql("SELECT command FROM cron.job")[0][0].clone().unwrap();
    for _ in 0..3 {
        app.sql(&job);
    }
    let empty = ["pg_cron", "done", "0"].map(|text| Some(text.to_owned())).to_vec();
    assert_eq!(runs()[1][..3], empty[..]);
    assert_eq!(runs().len(), 2);
    let document =
        markenmate(&["status", "--format", "json"]).url(&url).run().assert_code(0).json();
    let seen = &document["data"]["schedule"];
    assert_eq!(
        (&seen["jobs"][0]["via"], &seen["jobs"][0]["rhythm"]),
        (&"pg-cron".into(), &"* * * * *".into())
    );
    assert!(seen["jobs"][0]["last"].as_str().unwrap().starts_with("succeeded"), "{seen}");
    assert_eq!(seen["last_runs"][0]["run_id"], "pg_cron");

    // What differs is replaced; another's job is neither replaced nor removed.
    run(&["--install", "--yes"], 0);
    assert_eq!(jobs(), [expected.to_vec()]);
    Session::open(&cron)
        .sql("SELECT cron.alter_job(jobid, command := command || ' /* mine */') FROM cron.job");
    assert!(run(&["--remove", "--yes"], 0).stdout.contains("changed by hand"));
    assert_eq!(run(&["--remove", "--format", "json"], 0).json()["outcome"], "nothing_to_do");
    let theirs = "SELECT cron.schedule_in_database('markenmate-tokens-it''s a \\ \"db\"', '1 1 1 1 1', 'SELECT 1', 'live')";
    Session::open(&cron).sql(theirs);
    assert!(run(&["--install", "--yes"], 4).stderr.contains("not ours"));
    assert!(run(&["--remove", "--yes"], 0).stdout.contains("is left: it is not ours"));
    Session::open(&cron).sql("SELECT cron.unschedule(jobid) FROM cron.job");

    // The owner may as soon as it was granted, and then its own job is seen; somebody else may not delete.
    let as_role = |role: &str, args: &[&str], code: i32| {
        let args = [&["cleanup", "schedule", "--via", "pg-cron"], args].concat();
        markenmate(&args)
            .url(&url.replacen("user=postgres", &format!("user={role}"), 1))
            .run()
            .assert_code(code)
    };
    let said = as_role("other", &["--install", "--yes"], 4).stderr;
    assert!(said.contains("may not delete tokens") && said.contains("connect as app"), "{said}");
    Session::open(&cron).sql("GRANT pg_read_all_settings TO app");
    let said = as_role("app", &["--install", "--yes"], 4).stderr;
    assert!(said.contains("GRANT EXECUTE ON FUNCTION cron.schedule_in_database"), "{said}");
    Session::open(&cron).sql("GRANT USAGE ON SCHEMA cron TO app; GRANT EXECUTE ON FUNCTION cron.schedule_in_database(text, text, text, text, text, boolean) TO app");
    as_role("app", &["--install", "--yes"], 0);
    assert_eq!(jobs(), [expected.to_vec()]);
    assert_eq!(
        as_role("app", &["--install", "--format", "json"], 0).json()["outcome"],
        "nothing_to_do"
    );
    as_role("app", &["--remove", "--yes"], 0);
    assert_eq!(jobs(), <[Vec<Option<String>>; 0]>::default());
}

/// A migrated database of that name, whose tables are the role `app`'s.
fn hostile_app(server: &markenmate::sandbox::Sandbox, name: &str) -> String {
    let admin = Session::open(&server.url("postgres"));
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    admin.sql(&format!("CREATE DATABASE {quoted} OWNER app"));
    let value = name.replace('\\', "\\\\").replace('\'', "\\'");
    let url = format!(
        "host={} port={} user=postgres dbname='{value}'",
        server.socket_dir().display(),
        server.port()
    );
    let as_app = url.replacen("user=postgres", "user=app", 1);
    Session::open(&url).sql("ALTER SCHEMA public OWNER TO app");
    markenmate(&["migrate", "--yes"]).url(&as_app).run().assert_code(0);
    url
}

#[test]
fn without_pg_cron_it_says_what_to_do() {
    let server = start(&[]);
    let url = database_on(&server, "live", &["V1__baseline.sql"]);
    let run = || {
        markenmate(&["cleanup", "schedule", "--via", "pg-cron", "--install", "--yes"])
            .url(&url)
            .run()
            .assert_code(4)
            .stderr
    };
    let said = run();
    assert!(said.contains("no pg_cron in this server") && said.contains("--via systemd"), "{said}");
    let server = start_with_cron();
    let url = database_on(&server, "live", &["V1__baseline.sql"]);
    let run = || {
        markenmate(&["cleanup", "schedule", "--via", "pg-cron", "--install", "--yes"])
            .url(&url)
            .run()
            .assert_code(4)
            .stderr
    };
    assert!(run().contains("first: markenmate migrate"));
    markenmate(&["migrate", "--yes"]).url(&url).run().assert_code(0);
    let said = run();
    assert!(said.contains("in database live, as a superuser: CREATE EXTENSION pg_cron;"), "{said}");
    // An old one, as far as it shows.
    let live = Session::open(&url);
    live.sql("CREATE EXTENSION pg_cron; ALTER EXTENSION pg_cron DROP FUNCTION cron.schedule_in_database; DROP FUNCTION cron.schedule_in_database");
    let said = run();
    assert!(
        said.contains("is too old") && said.contains("ALTER EXTENSION pg_cron UPDATE"),
        "{said}"
    );
}
