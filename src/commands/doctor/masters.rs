//! Master admins that the guards do not allow: `migrate` refuses to put them up, or somebody got round them. Pure.

use crate::checks::registry::{self as checks};
use crate::console::escape;
use crate::migrations::standing::State;
use crate::migrations::survey::{Master, Survey};
use crate::report::Finding;
use crate::tools::shell;

/// Why `migrate` would refuse the guards, or what they would not have let pass, with the command that puts it
/// in order.
pub fn blocking(state: State, survey: &Survey) -> Option<Finding> {
    let consequence = match state {
        State::Baseline | State::HardenedUnrecorded | State::Pending => {
            "migrate refuses the guards until one admin has it"
        }
        State::Current => "somebody got round the guards; one admin is to have it",
        _ => return None,
    };
    let masters = survey.masters.as_slice();
    let id = match masters {
        [] => return None,
        [one] if one.role == "admin" => return None,
        [_] => "master-is-admin",
        _ => "single-master",
    };
    let named = masters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let command = command(masters)?;
    let detail = format!("{named}: {consequence}");
    let check = checks::find(id).ok()?;
    let mut finding =
        check.finding("public.\"user\".is_master_admin".into(), detail, Some(command));
    finding.severity = crate::report::Severity::Error;
    Some(finding)
}

fn command(masters: &[Master]) -> Option<String> {
    let first = masters.first()?;
    let stays = masters.iter().find(|master| master.role == "admin");
    Some(match (stays, &first.oldest_admin) {
        (Some(stays), _) => {
            let user = word(&stays.id);
            format!("markenmate set-master-admin {user} --transfer --as {user}")
        }
        (None, Some(admin)) => format!(
            "markenmate set-master-admin {} --transfer --break-glass --reason 'the master admin is no admin'",
            word(admin)
        ),
        // Nobody else could have it.
        (None, None) => format!(
            "markenmate admin promote {} --break-glass --reason 'there is no admin'",
            word(&first.id)
        ),
    })
}

/// An id to paste; one that cannot be shown as it is, or begins like a flag, is for a person to fill in.
fn word(id: &str) -> String {
    match escape(id) == id && !id.is_empty() && !id.starts_with('-') {
        true => shell::word(id),
        false => "USER".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(masters: &[(&str, &str)], admin: Option<&str>) -> Survey {
        let master = |(id, role): &(&str, &str)| Master {
            email: format!("{id}@x"),
            id: (*id).into(),
            role: (*role).into(),
            oldest_admin: admin.map(str::to_owned),
        };
        Survey { masters: masters.iter().map(master).collect(), ..Survey::default() }
    }

    #[test]
    fn the_command_fits_what_there_is() {
        let said = |masters: &[_], admin| {
            blocking(State::Pending, &survey(masters, admin)).map(|finding| finding.remedy)
        };
        assert_eq!(said(&[], None), None);
        assert_eq!(said(&[("a", "admin")], Some("a")), None);
        let two = said(&[("a", "user"), ("b", "admin")], Some("b")).unwrap();
        assert_eq!(two, "markenmate set-master-admin b --transfer --as b");
        let none = said(&[("a", "user")], Some("it's")).unwrap();
        assert!(none.contains("set-master-admin 'it'\\''s' --transfer --break-glass"), "{none}");
        let alone = said(&[("a", "user")], None).unwrap();
        assert!(alone.starts_with("markenmate admin promote a --break-glass"), "{alone}");
        let hostile = said(&[("-x", "admin"), ("y", "admin")], None).unwrap();
        assert!(hostile.contains("set-master-admin USER "), "{hostile}");
        let two = survey(&[("a", "admin"), ("b", "admin")], None);
        assert!(blocking(State::Current, &two).is_some_and(|f| f.detail.contains("got round")));
        assert_eq!(blocking(State::Drifted, &two), None);
    }
}
