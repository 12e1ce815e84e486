//! The SQL that `migrate` runs on an unrecorded baseline, for psql.

use markenmate::db::ledger::HASH;
use markenmate::migrations::registry;

/// Schema, the tool's own migrations, every migration after the baseline, all rows of both histories, and
/// the run's own row in the operator ledger.
pub fn migrate() -> String {
    let own = registry::OWN
        .iter()
        .map(|e| format!("{};\n{}", e.sql, history("refinery_own_history", e.version, e.name)));
    let app = registry::APP
        .iter()
        .skip(1)
        .map(|e| format!("{};\n{}", e.sql, history("refinery_schema_history", e.version, e.name)));
    [
        "CREATE SCHEMA IF NOT EXISTS markenmate;\n\
         SET LOCAL lock_timeout = '50ms';\n\
         SELECT set_config('markenmate.run_id', gen_random_uuid()::text, true);\n"
            .to_owned(),
        include_str!("../../src/migrations/own_history.sql")
            .replace("%TABLE%", "markenmate.refinery_own_history")
            + ";\n",
        own.collect(),
        "INSERT INTO markenmate.run (run_id, command, tool_version) \
         VALUES (current_setting('markenmate.run_id')::uuid, 'migrate', '0');\n"
            .to_owned(),
        history("refinery_schema_history", 1, registry::APP[0].name),
        app.collect(),
        ledger(),
    ]
    .concat()
}

fn history(table: &str, version: i32, name: &str) -> String {
    format!(
        "INSERT INTO markenmate.{table} (version, name, applied_on, checksum) \
         VALUES ({version}, '{name}', now()::text, '0');\n"
    )
}

fn ledger() -> String {
    let sql = include_str!("../../src/db/ledger/append.sql").replace("%HASH%", HASH);
    let parts = sql.split('%').enumerate();
    // Between two signs stands the name of a value.
    parts.map(|(at, part)| if at % 2 == 0 { part } else { "'x'::text" }).collect()
}
