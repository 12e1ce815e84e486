-- The first statement of a new backend pays for every catalogue it opens: two of them, once each.
SELECT current_database() AS database,
       current_user::text AS "user",
       current_setting('server_version') AS server_version,
       current_setting('server_version_num') AS server_version_num,
       CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_control_system()) END AS system_identifier,
       pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only') AS read_only,
       current_setting('is_superuser') AS superuser,
       coalesce(history.kept, false) AS has_history,
       coalesce(history.usable AND history.readable, false) AS reads_history
  FROM (SELECT bool_or(relname = 'refinery_schema_history') AS kept,
               bool_and(has_schema_privilege(relnamespace, 'USAGE')) AS usable,
               bool_and(has_table_privilege(oid, 'SELECT')) AS readable
          FROM pg_class
         WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate')
           AND relname IN ('refinery_schema_history', 'refinery_own_history')) history
