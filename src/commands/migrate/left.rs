//! What is said of rows and flags that could not return as they were.

use crate::migrations::back::finish::Returned;
use crate::report::{Finding, Severity};

/// Of one part.
pub(super) fn findings(one: &Returned) -> Vec<Finding> {
    [archived(one), forgotten(one), left(one)].into_iter().flatten().collect()
}

fn archived(one: &Returned) -> Option<Finding> {
    (one.archived > 0).then(|| Finding {
        id: "set-aside-archived".into(),
        severity: Severity::Info,
        title: "Audit rows of users who are gone are in the archive".into(),
        subject: one.what.clone(),
        detail: format!(
            "{} are in markenmate.audit_log_archive, as those of any user who is deleted under the guards",
            one.archived
        ),
        remedy: "nothing is left to do; to read them: SELECT * FROM markenmate.audit_log_archive \
                 WHERE reason = 'user deleted' ORDER BY archive_id DESC;"
            .into(),
    })
}

fn forgotten(one: &Returned) -> Option<Finding> {
    let forgotten_as = one.forgotten_as.as_ref()?;
    Some(Finding {
        id: "set-aside-forgotten".into(),
        severity: Severity::Warning,
        title: "Rows returned without the user whom they were about".into(),
        subject: one.what.clone(),
        detail: format!(
            "{}: that user is gone, and target_user_id leads to nobody now; {forgotten_as} keeps who it was, by \
             the row's id",
            one.forgotten
        ),
        remedy: format!(
            "SELECT * FROM {forgotten_as};  -- and later: markenmate cleanup set-aside"
        ),
    })
}

fn left(one: &Returned) -> Option<Finding> {
    let kept_as = one.kept_as.as_ref()?;
    if one.what.ends_with(".is_master_admin") {
        let why = one.why.as_deref().unwrap_or("nobody says which of them is to have it");
        return Some(Finding {
            id: "set-aside-left".into(),
            severity: Severity::Warning,
            title: "The master admin's flag did not return".into(),
            subject: one.what.clone(),
            detail: format!(
                "{why}; from version 3 on one admin has it. Who had it stays in {kept_as}"
            ),
            remedy: "markenmate set-master-admin USER".into(),
        });
    }
    Some(Finding {
        id: "set-aside-left".into(),
        severity: Severity::Info,
        title: "Not everything that was set aside could return".into(),
        subject: one.what.clone(),
        detail: format!(
            "{} stay in {kept_as}: their user or row is gone, or something else stands there",
            one.left
        ),
        remedy: "markenmate cleanup set-aside --dry-run".into(),
    })
}
