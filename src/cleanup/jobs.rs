//! Every job, one line each: a table, and which of its rows have had their time.

/// Which rows leave which table, and where they go.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// As typed, and as `markenmate.cleanup` has it.
    pub id: &'static str,
    /// What is done with the rows, for plans.
    pub title: &'static str,
    /// The table, in schema `public`.
    pub table: &'static str,
    /// Where its rows are kept, in schema `markenmate`; none: they are deleted.
    pub archive: Option<&'static str>,
    /// Whether a row `t` has had its time: SQL, with the run's only cut-off in it.
    pub predicate: &'static str,
    /// The column that it is decided by; none: all rows leave.
    pub by: Option<&'static str>,
    /// The age is asked for (`--older-than`); else rows say themselves when their time is over.
    pub aged: bool,
}

macro_rules! sql {
    ($file:literal) => {
        include_str!($file)
    };
}

/// All that are named on the command line.
#[rustfmt::skip]
pub static ALL: [Job; 3] = [
    Job { id: "tokens", title: "delete expired step-up tokens", table: "step_up_token", archive: None, predicate: sql!("tokens.sql"), by: Some("expires_at"), aged: false },
    Job { id: "audit", title: "move old audit rows to the archive", table: "audit_log", archive: Some("audit_log_archive"), predicate: sql!("aged.sql"), by: Some("created_at"), aged: true },
    Job { id: "app-log", title: "move old log rows to the archive", table: "app_log", archive: Some("app_log_archive"), predicate: sql!("aged.sql"), by: Some("created_at"), aged: true },
];

/// What somebody archived by following the guide, into a table that keeps the app's push from working. It goes
/// before `audit`, where it is there.
#[rustfmt::skip]
pub static GUIDE_ARCHIVE: Job = Job { id: "guide-archive", title: "take over the archive that was made by following the guide, and drop it", table: "audit_log_archive", archive: Some("audit_log_archive"), predicate: sql!("guide_archive.sql"), by: None, aged: false };

/// The job of that id.
pub fn find(id: &str) -> Option<&'static Job> {
    ALL.iter().find(|job| job.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predicate_has_one_cut_off_and_a_column_that_it_reads() {
        for job in ALL.iter().chain([&GUIDE_ARCHIVE]) {
            let by = job.by.unwrap_or("true");
            assert!(job.predicate.contains(by), "{}", job.id);
            let cut_offs = job.predicate.matches("%CUT_OFF%").count();
            assert_eq!(cut_offs, usize::from(job.by.is_some()), "{}", job.id);
            assert!(!job.aged || job.archive.is_some(), "{}", job.id);
        }
    }
}
