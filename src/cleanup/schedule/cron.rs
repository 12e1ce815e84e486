//! A file for `/etc/cron.d`: crontab(5).

use super::files::File;
use super::{RHYTHMS, Setup, marker};

/// The file.
pub fn file(setup: &Setup) -> File {
    let environment = word(&setup.names.environment().to_string_lossy());
    let program = word(&setup.program.to_string_lossy());
    let mut text = String::from(
        "# What goes wrong is mailed by cron to whoever MAILTO or the machine says. 7: something was in the way,\n\
         # the next run does it.\n\
         SHELL=/bin/sh\n",
    );
    for rhythm in &RHYTHMS {
        let command = format!(
            "set -a; . {environment}; set +a; {program} cleanup {} --yes --quiet >/dev/null || [ $? -eq 7 ]",
            rhythm.job
        );
        // cron ends the command at a percent sign.
        let command = command.replace('%', "\\%");
        text.push_str(&format!("{} {} {command}\n", rhythm.crontab, setup.user));
    }
    let text = marker::stamped("#", &setup.connection.place, &text);
    File { path: setup.names.crontab(), text, mode: 0o644 }
}

/// One word of sh.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,%".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
