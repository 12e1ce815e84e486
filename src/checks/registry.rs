//! Every check, one line each, in the order in which they are shown. Ids are a promise to scripts.

use crate::db::catalogue::Catalogue;
use crate::failure::Failure;
use crate::report::{Finding, Severity};

/// A check: what it is called, what it looks at, what mends it.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// The same in every version of this tool.
    pub id: &'static str,
    /// How much its findings weigh.
    pub severity: Severity,
    /// What holds where it passes.
    pub title: &'static str,
    /// What mends it, where the row itself does not say.
    pub remedy: &'static str,
    /// Who judges.
    pub source: Source,
    /// Without what there is nothing to judge.
    pub requires: Requires,
}

/// Who judges.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A statement that returns `(subject text, detail text)`, and `remedy text` where the row
    /// decides what mends it. No rows: it holds. It runs unchanged in psql.
    Sql(&'static str),
    /// The same over pg_stat_statements, whose function's name stands in `%STATEMENTS%`'s place.
    Statements(&'static str),
    /// The command, from history and catalogue.
    Computed,
    /// Statements that are tried and taken back, for which `--probe` asks: what `checks/probe` reads.
    Probe(&'static str),
    /// The running application, for which `--app-url` asks.
    App,
}

/// Without what there is nothing to judge.
#[derive(Debug, PartialEq, Eq)]
pub struct Requires {
    /// The version that brought what it looks at.
    pub version: i32,
    /// Tables, and columns as `table.column`, of schema `public`.
    pub objects: &'static [&'static str],
    /// The version of the tool's own schema that brought it.
    pub own: i32,
}

const NOTHING: Requires = Requires { version: 0, objects: &[], own: 0 };
/// The version of the tool's own schema that brought the operator ledger.
pub(super) const LEDGER_SINCE: i32 = 2;

const LEDGER: Requires = Requires { own: LEDGER_SINCE, ..NOTHING };

/// The version of the tool's own schema that keeps the runs of cleanup.
const CLEANUP: i32 = 4;

const fn v1(objects: &'static [&'static str]) -> Requires {
    Requires { version: 1, objects, ..NOTHING }
}

const fn v2(objects: &'static [&'static str]) -> Requires {
    Requires { version: 2, objects, ..NOTHING }
}

const fn cleanup(objects: &'static [&'static str]) -> Requires {
    Requires { own: CLEANUP, ..v2(objects) }
}

/// The guards, whose checks say themselves what they miss.
const GUARDS: Requires = Requires { version: 3, ..NOTHING };

macro_rules! sql {
    ($file:literal) => {
        Source::Sql(include_str!($file))
    };
}

macro_rules! probe {
    ($file:literal) => {
        Source::Probe(include_str!(concat!("probe/", $file)))
    };
}

use Severity::{Error, Warning};

/// All of them. A test holds this list and the folder equal.
#[rustfmt::skip]
pub static ALL: [Check; 41] = [
    Check { id: "history", severity: Error, title: "The migration history is the one this binary writes", remedy: "use the markenmate that wrote it", source: Source::Computed, requires: NOTHING },
    Check { id: "migrations-pending", severity: Error, title: "Every migration is applied", remedy: "markenmate migrate", source: Source::Computed, requires: NOTHING },
    Check { id: "contract", severity: Error, title: "Success criterion: all tables and columns are as the contract has them", remedy: "markenmate migrate", source: Source::Computed, requires: NOTHING },
    Check { id: "own-schema", severity: Error, title: "What the tool keeps for itself is all there", remedy: "markenmate status", source: Source::Computed, requires: NOTHING },
    Check { id: "new-tables", severity: Error, title: "Guide step 4: the new tables exist", remedy: "markenmate migrate", source: sql!("new_tables.sql"), requires: v2(&[]) },
    Check { id: "new-columns", severity: Error, title: "Guide step 4: the new columns exist", remedy: "markenmate migrate", source: sql!("new_columns.sql"), requires: v2(&[]) },
    Check { id: "app-grants", severity: Error, title: "The application may use the new tables as it may use the older ones", remedy: "grant what is missing", source: sql!("app_grants.sql"), requires: v2(&["token_lending.id"]) },
    Check { id: "master-admin-set", severity: Error, title: "Guide step 4: an admin is master admin", remedy: "markenmate set-master-admin", source: sql!("master_admin_set.sql"), requires: v2(&["user.id", "user.email", "user.role", "user.created_at", "user.is_master_admin"]) },
    Check { id: "single-master", severity: Error, title: "There is one master admin at most", remedy: "markenmate set-master-admin USER --transfer --as ONE_OF_THEM", source: sql!("single_master.sql"), requires: v2(&["user.id", "user.email", "user.role", "user.created_at", "user.is_master_admin"]) },
    Check { id: "master-is-admin", severity: Error, title: "The master admin has role admin", remedy: "markenmate set-master-admin USER --transfer --break-glass --reason TEXT", source: sql!("master_is_admin.sql"), requires: v2(&["user.id", "user.email", "user.role", "user.created_at", "user.is_master_admin"]) },
    Check { id: "admin-exists", severity: Error, title: "There is an admin", remedy: "start the application once, which makes its first admin, or: UPDATE public.\"user\" SET role = 'admin' WHERE email = 'somebody@example.org';", source: sql!("admin_exists.sql"), requires: v1(&["user.role"]) },
    Check { id: "default-password", severity: Error, title: "Every admin has a password of their own: not the one of the app's source, nor one that must be changed", remedy: "log in and change the password", source: Source::Computed, requires: v1(&["user.id", "user.email", "user.role", "user.created_at", "account.user_id", "account.provider_id", "account.password"]) },
    Check { id: "orphans", severity: Error, title: "Guide, troubleshooting: no row points to a row that is gone", remedy: "decide whether these rows are to be mended or deleted; a restore from a dump loses the key over them", source: Source::Sql(concat!(include_str!("../db/keys.sql"), include_str!("orphans.sql"))), requires: NOTHING },
    Check { id: "keys-validated", severity: Warning, title: "Every key and CHECK holds for all rows", remedy: "ALTER TABLE ... VALIDATE CONSTRAINT ...;", source: sql!("keys_validated.sql"), requires: NOTHING },
    Check { id: "indexes-valid", severity: Warning, title: "Every index is valid", remedy: "DROP INDEX CONCURRENTLY ...;", source: sql!("indexes_valid.sql"), requires: NOTHING },
    Check { id: "serial-headroom", severity: Warning, title: "Serial columns have room", remedy: "plan a change of the column to bigint together with the application's schema, whose push takes it back otherwise", source: sql!("serial_headroom.sql"), requires: NOTHING },
    Check { id: "lending-version", severity: Error, title: "Success criterion: every lending has a version for optimistic locking", remedy: "UPDATE public.token_lending SET version = 1 WHERE version IS NULL OR version < 1;", source: sql!("lending_version.sql"), requires: v2(&["token_lending.id", "token_lending.version"]) },
    Check { id: "audit-capture", severity: Warning, title: "Success criterion: audit logs capture sensitive operations, as far as rows can tell", remedy: "is the new application at work everywhere? It writes these rows, the old one does not: look at its version and its log", source: sql!("audit_capture.sql"), requires: v2(&["audit_log.id", "audit_log.action", "audit_log.metadata", "audit_log.created_at", "token_lending.id", "token_lending.created_at"]) },
    Check { id: "audit-coverage", severity: Warning, title: "Success criterion: audit logs capture all sensitive operations: admins, updates and step-ups have their rows", remedy: "is the new application at work everywhere? What is changed by SQL leaves no row", source: sql!("audit_coverage.sql"), requires: cleanup(&["user.role", "user.email", "user.created_at", "audit_log.user_id", "audit_log.action", "audit_log.target_user_id", "audit_log.metadata", "audit_log.created_at", "token_lending.version", "token_lending.updated_at", "step_up_token.used", "step_up_token.created_at", "step_up_token.expires_at"]) },
    Check { id: "step-up-tokens", severity: Warning, title: "Step-up tokens are short-lived and well-formed", remedy: "delete them: DELETE FROM public.step_up_token WHERE id = ...;", source: sql!("step_up_tokens.sql"), requires: v2(&["step_up_token.id", "step_up_token.token", "step_up_token.expires_at", "step_up_token.created_at"]) },
    Check { id: "correlation-ids", severity: Warning, title: "Guide, post-migration: audit rows carry correlation ids", remedy: "look at what writes these rows: SELECT action, count(*) FROM public.audit_log WHERE coalesce(correlation_id, '') = '' GROUP BY action;", source: sql!("correlation_ids.sql"), requires: v2(&["audit_log.id", "audit_log.correlation_id", "audit_log.created_at"]) },
    Check { id: "app-errors", severity: Warning, title: "Success criterion: no errors in application logs", remedy: "SELECT * FROM public.app_log WHERE level = 'error' ORDER BY created_at DESC LIMIT 20;", source: sql!("app_errors.sql"), requires: v1(&["app_log.id", "app_log.level", "app_log.message", "app_log.created_at"]) },
    Check { id: "performance", severity: Warning, title: "Success criterion: audit writes and version checks are within the guide's times", remedy: "look at what else is slow: SELECT * FROM pg_stat_statements ORDER BY mean_exec_time DESC LIMIT 20; and shorten the audit log: markenmate cleanup audit", source: Source::Statements(include_str!("performance.sql")), requires: v2(&["audit_log.id", "token_lending.version"]) },
    Check { id: "guide-archive", severity: Warning, title: "No archive table stands in the way of the app's push", remedy: "markenmate cleanup audit", source: sql!("guide_archive.sql"), requires: NOTHING },
    Check { id: "schedule", severity: Warning, title: "Guide, cleanup jobs: whatever has had its time does not wait", remedy: "markenmate cleanup", source: sql!("schedule.sql"), requires: cleanup(&["step_up_token.expires_at", "audit_log.created_at"]) },
    Check { id: "export-unfinished", severity: Warning, title: "No export of an archive ended in the middle", remedy: "markenmate cleanup --export DIR", source: sql!("export_unfinished.sql"), requires: Requires { own: CLEANUP, ..NOTHING } },
    Check { id: "step-up-guard", severity: Error, title: "Success criterion: step-up auth works for role changes: a token is spent once", remedy: "markenmate migrate", source: sql!("step_up_guard.sql"), requires: GUARDS },
    Check { id: "master-admin-guard", severity: Error, title: "Success criterion: the master admin cannot be demoted", remedy: "markenmate migrate", source: sql!("master_admin_guard.sql"), requires: GUARDS },
    Check { id: "last-admin-guard", severity: Error, title: "Success criterion: the last admin cannot be removed", remedy: "markenmate migrate", source: sql!("last_admin_guard.sql"), requires: GUARDS },
    Check { id: "lost-update-guard", severity: Error, title: "Success criterion: optimistic locking prevents lost updates", remedy: "markenmate migrate", source: sql!("lost_update_guard.sql"), requires: GUARDS },
    Check { id: "replication-role", severity: Error, title: "No setting lets sessions pass every guard and key", remedy: "ALTER ROLE ... RESET session_replication_role;", source: sql!("replication_role.sql"), requires: NOTHING },
    Check { id: "own-grants", severity: Error, title: "Nobody but the owner writes what is the tool's own, or calls its functions", remedy: "REVOKE it", source: sql!("own_grants.sql"), requires: NOTHING },
    Check { id: "ledger-chain", severity: Error, title: "The operator ledger's chain holds; whether its end is there: --ledger-head", remedy: "compare it with a backup: what was done, and by whom, can no longer be told from this ledger alone", source: sql!("ledger_chain.sql"), requires: LEDGER },
    Check { id: "probe-step-up", severity: Error, title: "Guide step 5, test 1, tried on the database: no step-up token, no role change", remedy: "markenmate verify --only step-up-guard", source: probe!("step_up.sql"), requires: v2(&["user.id", "step_up_token.token", "step_up_token.used", "step_up_token.expires_at"]) },
    Check { id: "probe-master-admin", severity: Error, title: "Guide step 5, test 2, tried on the database: the master admin stays", remedy: "markenmate verify --only master-admin-guard", source: probe!("master_admin.sql"), requires: v2(&["user.id", "user.role", "user.is_master_admin"]) },
    Check { id: "probe-last-admin", severity: Error, title: "Guide step 5, test 3, tried on the database: the last admin stays", remedy: "markenmate verify --only last-admin-guard", source: probe!("last_admin.sql"), requires: v1(&["user.id", "user.role"]) },
    Check { id: "probe-lost-update", severity: Error, title: "Guide step 5, test 4, tried on the database: the second of two updates fails", remedy: "markenmate verify --only lost-update-guard", source: probe!("lost_update.sql"), requires: v2(&["user.id", "token_lending.token_count", "token_lending.version"]) },
    Check { id: "app-health", severity: Error, title: "The application says that it is healthy", remedy: "look at the application's log", source: Source::App, requires: NOTHING },
    Check { id: "app-step-up", severity: Error, title: "Guide step 5, test 1, asked of the application: step-up authentication", remedy: "is the new application at work there? Its guard comes before anything else it does", source: Source::App, requires: NOTHING },
    Check { id: "app-master-admin", severity: Error, title: "Guide step 5, test 2, asked of the application: master admin protection", remedy: "look at the application's own guard", source: Source::App, requires: v2(&["user.role", "user.is_master_admin", "session.token", "step_up_token.token"]) },
    Check { id: "app-last-admin", severity: Error, title: "Guide step 5, test 3, asked of the application: last admin protection", remedy: "look at the application's own guard", source: Source::App, requires: v2(&["user.role", "user.is_master_admin", "session.token", "step_up_token.token"]) },
];

impl Check {
    /// A finding of this check.
    pub fn finding(&self, subject: String, detail: String, remedy: Option<String>) -> Finding {
        Finding {
            id: self.id.into(),
            severity: self.severity,
            title: self.title.into(),
            subject,
            detail,
            remedy: remedy.unwrap_or_else(|| self.remedy.into()),
        }
    }
}

impl Requires {
    /// Why there is nothing to judge; none where there is. `version` is the one the database is
    /// judged against, `own` that of the tool's own schema.
    pub fn missing(&self, version: i32, own: i32, catalogue: &Catalogue) -> Option<String> {
        if self.own > own {
            return Some(match self.own {
                CLEANUP => "runs of cleanup are not recorded yet: migrate begins that".into(),
                _ => "there is no operator ledger yet: migrate begins it".into(),
            });
        }
        if self.version > version {
            return Some(format!(
                "belongs to version {}; judged against version {version}",
                self.version
            ));
        }
        if let Some(object) = self.objects.iter().find(|object| !exists(catalogue, object)) {
            let (table, column) = object.split_once('.').unwrap_or((object, ""));
            let table = crate::db::identifiers::identifier(table);
            return Some(if catalogue.tables.contains_key(object.split('.').next()?) {
                format!("column public.{table}.{column} is missing")
            } else {
                format!("table public.{table} is missing")
            });
        }
        None
    }
}

fn exists(catalogue: &Catalogue, object: &str) -> bool {
    let (table, column) = object.split_once('.').unwrap_or((object, ""));
    let table = catalogue.tables.get(table);
    table.is_some_and(|table| column.is_empty() || table.columns.contains_key(column))
}

/// The check of that id, or which ids there are.
pub fn find(id: &str) -> Result<&'static Check, String> {
    ALL.iter().find(|check| check.id == id).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|check| check.id).collect();
        format!("there is no check {id:?}; the checks are {}", known.join(", "))
    })
}

/// The checks that `--only` and `--skip` leave, in the list's order.
pub fn select(
    only: &[&'static Check],
    skip: &[&'static Check],
) -> Result<Vec<&'static Check>, Failure> {
    let selected: Vec<_> = ALL
        .iter()
        .filter(|check| (only.is_empty() || only.contains(check)) && !skip.contains(check))
        .collect();
    if selected.is_empty() {
        return Err(Failure::usage("--skip leaves nothing of what is to be checked")
            .hint("leave out --skip, or name other checks with --only"));
    }
    Ok(selected)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
