//! The SQL that `migrate` runs on an unrecorded baseline, for psql.

use markenmate::migrations::registry;

/// Schema, the tool's own migration, V2 and all rows of both histories.
pub fn v2() -> String {
    let own = registry::OWN
        .iter()
        .map(|e| format!("{};\n{}", e.sql, history("refinery_own_history", e.version, e.name)));
    let app = &registry::APP[1];
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
        format!("{};\n", app.sql),
        history("refinery_schema_history", app.version, app.name),
    ]
    .concat()
}

fn history(table: &str, version: i32, name: &str) -> String {
    format!(
        "INSERT INTO markenmate.{table} (version, name, applied_on, checksum) \
         VALUES ({version}, '{name}', now()::text, '0');\n"
    )
}
