//! Every metric, one line each, in the order in which they are shown. Ids and Prometheus names are a
//! promise to scripts and dashboards.

use crate::db::catalogue::Catalogue;

use super::unit::Unit;

/// A metric: what it is called, what it counts, from where on it is too much, and what mends that.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// The same in every version of this tool.
    pub id: &'static str,
    /// What it counts.
    pub title: &'static str,
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What Prometheus may do with it.
    pub kind: Kind,
    /// What its values are counted in.
    pub unit: Unit,
    /// Where it is over, unless `--threshold` says otherwise.
    pub limit: Limit,
    /// What mends it; `{table}` and `{actor}` stand for the label.
    pub remedy: &'static str,
    /// Where the values come from.
    pub source: Source,
    /// Without what there is nothing to count.
    pub requires: Requires,
}

/// What Prometheus may do with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, until it begins anew.
    Counter,
}

/// Which side of which value is bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// More than this.
    Over(f64),
    /// Less than this.
    Under(f64),
    /// More would be worse, and nobody has said where it begins.
    Open,
    /// Less would be worse, and nobody has said where it begins.
    OpenBelow,
}

/// Where the values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The rows of this statement that name the metric. Rows of another that name it are more of its values.
    Sql(&'static Statement),
    /// The folder of backups, through which the command looks.
    Folder,
}

/// What reads a thing once, for all metrics of it. A missing column is no error of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// The file.
    pub file: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Returns `metric`, which is an id, labels as text columns, and `value`. Without a value there is nothing of
    /// it; with a label, nobody knows. It runs unchanged in psql.
    pub sql: &'static str,
}

/// Without what there is nothing to count.
#[derive(Debug, PartialEq, Eq)]
pub struct Requires {
    /// The version of the application's schema that must be recorded.
    pub version: i32,
    /// Tables, and columns as `table.column`, of schema `public`.
    pub objects: &'static [&'static str],
    /// The version of the tool's own schema.
    pub own: i32,
    /// The extension pg_stat_statements.
    pub statements: bool,
}

const NOTHING: Requires = Requires { version: 0, objects: &[], own: 0, statements: false };
const STATEMENTS: Requires = Requires { statements: true, ..NOTHING };
/// The counters that the guards' triggers move on.
const GUARDS: Requires = Requires { version: 3, own: 2, ..NOTHING };
const RUNS: Requires = Requires { own: 4, ..NOTHING };
const AUDIT: Requires = of(&["audit_log.user_id", "audit_log.action", "audit_log.created_at"]);
const TOKENS: Requires =
    of(&["step_up_token.used", "step_up_token.expires_at", "step_up_token.created_at"]);

const fn of(objects: &'static [&'static str]) -> Requires {
    Requires { objects, ..NOTHING }
}

macro_rules! sql {
    ($name:literal, $about:literal) => {
        Statement { file: $name, about: $about, sql: include_str!(concat!($name, ".sql")) }
    };
}

static PG_STAT_STATEMENTS: Statement = sql!("pg_stat_statements", "pg_stat_statements");
static LENDING_CONFLICTS: Statement = sql!("lending_conflicts", "the conflicts of lendings");
static STEP_UP_CONFLICTS: Statement = sql!("step_up_conflicts", "the conflicts of step-ups");
static AUDIT_LOG: Statement = sql!("audit_log", "the audit log");
static STEP_UP_TOKEN: Statement = sql!("step_up_token", "the step-up tokens");
static APP_LOG: Statement = sql!("app_log", "the app's log");
static TABLES: Statement = sql!("tables", "the tables");
static TABLE_GROWTH: Statement = sql!("table_growth", "what the tables grow by");
static CLEANUP: Statement = sql!("cleanup", "the runs of cleanup");

const DAY: f64 = 86_400.0;
const SLOW: &str = "is the server's disk slow, or what it waits for? pg_stat_activity.wait_event says; a trigger or an index that somebody added to the table costs, too";
const CONFLICTS: &str = "two people change one lending at the same moment: let the application read it again and ask once more (the guide: increase retry logic in UI, or adjust conflict resolution strategy)";
const WHO: &str = "see who and when: markenmate stats audit";
const HIM: &str = "see what else: markenmate stats audit --actor {actor}";
const NO_CLEANUP: &str = "is it scheduled, and does it run? By hand: markenmate cleanup";

use Kind::{Counter, Gauge};
use Limit::{Open, OpenBelow, Over, Under};
use Unit::{Bytes, Count, Milliseconds, PerDay, Ratio, Seconds};

/// All of them, each with the statement that tells of it; a test holds the statements and the folder equal. The guide says what to expect: audit inserts
/// 5 to 10 ms, version checks 1 to 2 ms, tokens cleaned up every 10 minutes, audit rows of 90 days each month.
#[rustfmt::skip]
pub static ALL: [Metric; 34] = [
    Metric { id: "audit-writes", title: "Statements that wrote into the audit log, since statistics were reset; WITH ... INSERT, which no application so far sends, is not counted", name: "markenmate_audit_insert_calls_total", kind: Counter, unit: Count, limit: Open, remedy: WHO, source: Source::Sql(&PG_STAT_STATEMENTS), requires: STATEMENTS },
    Metric { id: "audit-write-time", title: "Time that these took, since statistics were reset", name: "markenmate_audit_insert_seconds_total", kind: Counter, unit: Milliseconds, limit: Open, remedy: SLOW, source: Source::Sql(&PG_STAT_STATEMENTS), requires: STATEMENTS },
    Metric { id: "audit-insert", title: "Mean time of writing into the audit log", name: "markenmate_audit_insert_mean_seconds", kind: Gauge, unit: Milliseconds, limit: Over(10.0), remedy: SLOW, source: Source::Sql(&PG_STAT_STATEMENTS), requires: STATEMENTS },
    Metric { id: "version-checks", title: "Updates of a lending that compared its version, since statistics were reset", name: "markenmate_version_check_calls_total", kind: Counter, unit: Count, limit: Open, remedy: WHO, source: Source::Sql(&PG_STAT_STATEMENTS), requires: STATEMENTS },
    Metric { id: "version-check-time", title: "Time that these took, since statistics were reset", name: "markenmate_version_check_seconds_total", kind: Counter, unit: Milliseconds, limit: Open, remedy: SLOW, source: Source::Sql(&PG_STAT_STATEMENTS), requires: STATEMENTS },
    Metric { id: "version-check", title: "Mean time of an update of a lending that compares its version", name: "markenmate_version_check_mean_seconds", kind: Gauge, unit: Milliseconds, limit: Over(2.0), remedy: SLOW, source: Source::Sql(&PG_STAT_STATEMENTS), requires: STATEMENTS },
    Metric { id: "version-conflicts", title: "Updates of a lending that came too late, since the guards are there", name: "markenmate_version_conflicts_total", kind: Counter, unit: Count, limit: Open, remedy: CONFLICTS, source: Source::Sql(&LENDING_CONFLICTS), requires: GUARDS },
    Metric { id: "version-conflict-rate", title: "The same a day, on average", name: "markenmate_version_conflicts_per_day", kind: Gauge, unit: PerDay, limit: Over(20.0), remedy: CONFLICTS, source: Source::Sql(&LENDING_CONFLICTS), requires: GUARDS },
    Metric { id: "version-mismatches", title: "Audit rows in the window that say version_mismatch, which no application so far writes", name: "markenmate_version_mismatches", kind: Gauge, unit: Count, limit: Over(20.0), remedy: CONFLICTS, source: Source::Sql(&AUDIT_LOG), requires: of(&["audit_log.metadata", "audit_log.action", "audit_log.created_at"]) },
    Metric { id: "step-up-conflicts", title: "Step-up tokens that were to be spent twice, since the guards are there", name: "markenmate_step_up_conflicts_total", kind: Counter, unit: Count, limit: Open, remedy: WHO, source: Source::Sql(&STEP_UP_CONFLICTS), requires: GUARDS },
    Metric { id: "step-up-failures", title: "Failed step-ups in the window", name: "markenmate_step_up_failures", kind: Gauge, unit: Count, limit: Over(20.0), remedy: WHO, source: Source::Sql(&AUDIT_LOG), requires: AUDIT },
    Metric { id: "step-up-failures-by-actor", title: "Failed step-ups in the window, of the fifty who failed most", name: "markenmate_step_up_failures_by_actor", kind: Gauge, unit: Count, limit: Over(5.0), remedy: HIM, source: Source::Sql(&AUDIT_LOG), requires: AUDIT },
    Metric { id: "role-failures", title: "Refused changes of roles in the window", name: "markenmate_role_failures", kind: Gauge, unit: Count, limit: Over(10.0), remedy: WHO, source: Source::Sql(&AUDIT_LOG), requires: AUDIT },
    Metric { id: "role-failures-by-actor", title: "Refused changes of roles in the window, of the fifty who were refused most", name: "markenmate_role_failures_by_actor", kind: Gauge, unit: Count, limit: Over(5.0), remedy: HIM, source: Source::Sql(&AUDIT_LOG), requires: AUDIT },
    Metric { id: "tokens-issued", title: "Step-up tokens made in the window and still there", name: "markenmate_step_up_tokens_issued", kind: Gauge, unit: Count, limit: Open, remedy: WHO, source: Source::Sql(&STEP_UP_TOKEN), requires: TOKENS },
    Metric { id: "tokens-used", title: "Of these, used", name: "markenmate_step_up_tokens_used", kind: Gauge, unit: Count, limit: Open, remedy: WHO, source: Source::Sql(&STEP_UP_TOKEN), requires: TOKENS },
    Metric { id: "tokens-expired", title: "Step-up tokens that ran out, used or not, and are still there", name: "markenmate_step_up_tokens_expired", kind: Gauge, unit: Count, limit: Over(10_000.0), remedy: "markenmate cleanup tokens", source: Source::Sql(&STEP_UP_TOKEN), requires: TOKENS },
    Metric { id: "tokens-waiting", title: "Step-up tokens that can be used", name: "markenmate_step_up_tokens_waiting", kind: Gauge, unit: Count, limit: Open, remedy: WHO, source: Source::Sql(&STEP_UP_TOKEN), requires: TOKENS },
    Metric { id: "correlation-ids", title: "Audit rows in the window that have a correlation id", name: "markenmate_audit_correlation_ratio", kind: Gauge, unit: Ratio, limit: Under(1.0), remedy: "which rows: markenmate verify --only correlation-ids; is an older application at work?", source: Source::Sql(&AUDIT_LOG), requires: of(&["audit_log.correlation_id", "audit_log.created_at"]) },
    Metric { id: "log-correlation-ids", title: "Log rows in the window that have a correlation id; the application never writes one there", name: "markenmate_app_log_correlation_ratio", kind: Gauge, unit: Ratio, limit: OpenBelow, remedy: "none is needed: the application never writes one there", source: Source::Sql(&APP_LOG), requires: of(&["app_log.correlation_id", "app_log.created_at"]) },
    Metric { id: "table-bytes", title: "Size of each table, its indexes included", name: "markenmate_table_size_bytes", kind: Gauge, unit: Bytes, limit: Open, remedy: "markenmate cleanup", source: Source::Sql(&TABLES), requires: NOTHING },
    Metric { id: "table-rows", title: "Rows of each table, as the server estimates them", name: "markenmate_table_rows", kind: Gauge, unit: Count, limit: Open, remedy: "markenmate cleanup", source: Source::Sql(&TABLES), requires: NOTHING },
    Metric { id: "table-growth", title: "Rows made in the window, a day, of each table that says when", name: "markenmate_table_rows_per_day", kind: Gauge, unit: PerDay, limit: Open, remedy: "markenmate cleanup", source: Source::Sql(&TABLE_GROWTH), requires: NOTHING },
    Metric { id: "table-dead-rows", title: "Dead rows of each table, which vacuum has still to take away", name: "markenmate_table_dead_rows", kind: Gauge, unit: Count, limit: Open, remedy: "VACUUM (ANALYZE) {table};", source: Source::Sql(&TABLES), requires: NOTHING },
    Metric { id: "table-dead-ratio", title: "Dead rows among all, of each table with at least 10000 dead ones", name: "markenmate_table_dead_ratio", kind: Gauge, unit: Ratio, limit: Over(0.4), remedy: "VACUUM (ANALYZE) {table};  -- if that takes none away: which transaction is open for so long? pg_stat_activity.xact_start", source: Source::Sql(&TABLES), requires: NOTHING },
    Metric { id: "audit-growth", title: "Audit rows written in the window, a day", name: "markenmate_audit_rows_per_day", kind: Gauge, unit: PerDay, limit: Over(100_000.0), remedy: "move what is older than 90 days into the archive: markenmate cleanup audit; who writes so much: markenmate stats audit", source: Source::Sql(&AUDIT_LOG), requires: of(&["audit_log.created_at"]) },
    Metric { id: "audit-oldest", title: "Age of the oldest audit row that is not in the archive", name: "markenmate_audit_oldest_row_seconds", kind: Gauge, unit: Seconds, limit: Over(122.0 * DAY), remedy: "markenmate cleanup audit", source: Source::Sql(&AUDIT_LOG), requires: of(&["audit_log.created_at"]) },
    Metric { id: "app-log-oldest", title: "Age of the oldest log row", name: "markenmate_app_log_oldest_row_seconds", kind: Gauge, unit: Seconds, limit: Open, remedy: "markenmate cleanup app-log", source: Source::Sql(&APP_LOG), requires: of(&["app_log.created_at"]) },
    Metric { id: "tokens-oldest", title: "Age of the oldest step-up token", name: "markenmate_step_up_token_oldest_row_seconds", kind: Gauge, unit: Seconds, limit: Over(DAY), remedy: "markenmate cleanup tokens", source: Source::Sql(&STEP_UP_TOKEN), requires: of(&["step_up_token.created_at"]) },
    Metric { id: "cleanup-tokens-age", title: "Time since the tokens were last cleaned up", name: "markenmate_cleanup_tokens_age_seconds", kind: Gauge, unit: Seconds, limit: Over(3600.0), remedy: NO_CLEANUP, source: Source::Sql(&CLEANUP), requires: RUNS },
    Metric { id: "cleanup-audit-age", title: "Time since the audit log was last cleaned up", name: "markenmate_cleanup_audit_age_seconds", kind: Gauge, unit: Seconds, limit: Over(32.0 * DAY), remedy: NO_CLEANUP, source: Source::Sql(&CLEANUP), requires: RUNS },
    Metric { id: "cleanup-app-log-age", title: "Time since the app's log was last cleaned up", name: "markenmate_cleanup_app_log_age_seconds", kind: Gauge, unit: Seconds, limit: Open, remedy: "markenmate cleanup app-log", source: Source::Sql(&CLEANUP), requires: RUNS },
    Metric { id: BACKUP, title: "Age of the newest verified backup of this database in --backup-dir", name: "markenmate_backup_age_seconds", kind: Gauge, unit: Seconds, limit: Over(DAY + 3600.0), remedy: "markenmate backup --restore-test", source: Source::Folder, requires: NOTHING },
    Metric { id: "rehearsal-age", title: "Age of the newest rehearsal of this database in --backup-dir", name: "markenmate_rehearsal_age_seconds", kind: Gauge, unit: Seconds, limit: Open, remedy: "markenmate rehearse", source: Source::Folder, requires: NOTHING },
];

/// Age of the newest verified backup.
pub const BACKUP: &str = "backup-age";

impl Limit {
    /// The value, where there is one.
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Over(value) | Self::Under(value) => Some(value),
            Self::Open | Self::OpenBelow => None,
        }
    }

    /// The same side at another value; none: nowhere.
    #[must_use]
    pub const fn at(self, value: Option<f64>) -> Self {
        match (self, value) {
            (Self::Over(_) | Self::Open, Some(value)) => Self::Over(value),
            (Self::Over(_) | Self::Open, None) => Self::Open,
            (Self::Under(_) | Self::OpenBelow, Some(value)) => Self::Under(value),
            (Self::Under(_) | Self::OpenBelow, None) => Self::OpenBelow,
        }
    }

    /// Whether a value is on the bad side.
    pub fn is_passed(self, value: f64) -> bool {
        match self {
            Self::Over(limit) => value > limit,
            Self::Under(limit) => value < limit,
            Self::Open | Self::OpenBelow => false,
        }
    }
}

impl Requires {
    /// Why there is nothing to count; none where there is. `version` is the highest that is recorded, `own` that
    /// of the tool's own schema.
    pub fn missing(&self, version: i32, own: i32, catalogue: &Catalogue) -> Option<String> {
        if let Some(object) = self.objects.iter().find(|object| !exists(catalogue, object)) {
            return Some(format!("there is no public.{object}: markenmate migrate"));
        }
        if self.version > version {
            return Some(format!(
                "needs version {} of the schema; recorded is {version}: markenmate migrate",
                self.version
            ));
        }
        (self.own > own).then(|| {
            format!(
                "needs version {} of schema markenmate, which is at {own}: markenmate migrate",
                self.own
            )
        })
    }
}

fn exists(catalogue: &Catalogue, object: &str) -> bool {
    let (table, column) = object.split_once('.').unwrap_or((object, ""));
    let table = catalogue.tables.get(table);
    table.is_some_and(|table| column.is_empty() || table.columns.contains_key(column))
}

/// The statements, each once, in the metrics' order.
pub fn statements() -> impl Iterator<Item = &'static Statement> {
    let of = |metric: &Metric| match metric.source {
        Source::Sql(statement) => Some(statement),
        Source::Folder => None,
    };
    ALL.iter().enumerate().filter_map(move |(n, metric)| {
        let statement = of(metric)?;
        let is_first = ALL.iter().take(n).all(|before| of(before) != Some(statement));
        is_first.then_some(statement)
    })
}

/// The metric of that id, or which ids there are.
///
/// # Errors
/// There is none; the text lists those that are.
pub fn find(id: &str) -> Result<&'static Metric, String> {
    ALL.iter().find(|metric| metric.id == id).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|metric| metric.id).collect();
        format!("there is no metric {id:?}; the metrics are {}", known.join(", "))
    })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
