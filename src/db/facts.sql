-- The first statement of a new backend pays for every catalogue it plans a scan of: this one has
-- functions only, which look up what they need. 3441 is pg_control_system().
SELECT current_database() AS database,
       current_user::text AS "user",
       current_setting('server_version') AS server_version,
       current_setting('server_version_num') AS server_version_num,
       CASE WHEN has_function_privilege(3441::oid, 'EXECUTE')
            THEN (pg_control_system()).system_identifier::text END AS system_identifier,
       pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only') AS read_only,
       current_setting('is_superuser') AS superuser,
       CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
            THEN to_regclass('markenmate.refinery_schema_history') IS NOT NULL
            ELSE to_regnamespace('markenmate') IS NOT NULL END AS has_history,
       -- A table that is gone is no matter of privileges: reading it says so.
       coalesce(CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
                     THEN coalesce(has_table_privilege(to_regclass('markenmate.refinery_schema_history')::oid, 'SELECT'), true)
                      AND coalesce(has_table_privilege(to_regclass('markenmate.refinery_own_history')::oid, 'SELECT'), true)
                END, false) AS reads_history
