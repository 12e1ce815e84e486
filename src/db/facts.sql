SELECT current_database() AS database,
       current_user::text AS "user",
       current_setting('server_version') AS server_version,
       current_setting('server_version_num') AS server_version_num,
       CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_control_system()) END AS system_identifier,
       pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only') AS read_only,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'markenmate' AND c.relname = 'refinery_schema_history') AS has_history,
       coalesce((SELECT has_schema_privilege(n.oid, 'USAGE')
                        AND bool_and(has_table_privilege(c.oid, 'SELECT'))
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'markenmate'
                    AND c.relname IN ('refinery_schema_history', 'refinery_own_history')
                  GROUP BY n.oid), false) AS reads_history
