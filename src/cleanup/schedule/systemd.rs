//! A service and a timer a job: systemd.service(5), systemd.timer(5), systemd.exec(5).

use std::path::Path;

use super::files::File;
use super::names::Names;
use super::{RHYTHMS, Rhythm, Setup, Via, marker};

/// The units, services before their timers.
pub fn files(setup: &Setup) -> Vec<File> {
    let mut files = Vec::new();
    for rhythm in &RHYTHMS {
        for (suffix, text) in [("service", service(setup, rhythm)), ("timer", timer(rhythm))] {
            let path =
                Path::new(Names::folder(Via::Systemd)).join(setup.names.unit(rhythm, suffix));
            let text = marker::stamped("#", &setup.connection.place, &text);
            files.push(File { path, text, mode: 0o644 });
        }
    }
    files
}

/// The timers' names.
pub fn timers(names: &Names) -> Vec<String> {
    RHYTHMS.iter().map(|rhythm| names.unit(rhythm, "timer")).collect()
}

/// 7: another run, or a lock, was in the way; the next one does it. No `PrivateTmp` where a socket, a
/// passfile or the binary is in `/tmp`: the job would look into an empty one.
fn service(setup: &Setup, rhythm: &Rhythm) -> String {
    let tmp = if setup.needs_tmp() { "" } else { "PrivateTmp=yes\n" };
    format!(
        "[Unit]\n\
         Description=MarkenMate: cleanup of {job} ({words})\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         User={user}\n\
         EnvironmentFile={environment}\n\
         ExecStart={program} cleanup {job} --yes\n\
         SuccessExitStatus=7\n\
         NoNewPrivileges=yes\n\
         {tmp}\
         ProtectSystem=strict\n\
         ProtectHome=read-only\n\
         ProtectKernelTunables=yes\n\
         ProtectControlGroups=yes\n\
         RestrictSUIDSGID=yes\n",
        job = rhythm.job,
        words = rhythm.words,
        user = setup.user,
        environment = setup.names.environment().display(),
        program = word(&setup.program.to_string_lossy()),
    )
}

fn timer(rhythm: &Rhythm) -> String {
    let spread = if rhythm.spread { "RandomizedDelaySec=1h\n" } else { "" };
    format!(
        "[Unit]\n\
         Description=MarkenMate: cleanup of {job}, {words}\n\
         \n\
         [Timer]\n\
         OnCalendar={calendar}\n\
         Persistent=true\n\
         {spread}\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
        job = rhythm.job,
        words = rhythm.words,
        calendar = rhythm.on_calendar,
    )
}

/// One word of ExecStart: `%` is a specifier's beginning. systemd takes no quote and no backslash in it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    let text = text.replace('%', "%%");
    match text.chars().all(|c| plain(c) || c == '%') {
        true => text,
        false => format!("\"{text}\""),
    }
}
