-- The first statement of a new backend pays for every catalogue it plans a scan of: this one has
-- functions but for two rows, which look up what they need. 3441 is pg_control_system().
SELECT current_database() AS database,
       current_user::text AS "user",
       current_setting('server_version') AS server_version,
       current_setting('server_version_num') AS server_version_num,
       CASE WHEN has_function_privilege(3441::oid, 'EXECUTE')
            THEN (pg_control_system()).system_identifier::text END AS system_identifier,
       pg_is_in_recovery() AS standby,
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
       current_setting('default_transaction_read_only') AS read_only,
       current_setting('is_superuser') AS superuser,
       coalesce(own.has_history, false) AS has_history,
       -- A table that is gone is no matter of privileges: reading it says so.
       coalesce(CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
                     THEN coalesce(has_table_privilege(to_regclass('markenmate.refinery_schema_history')::oid, 'SELECT'), true)
                      AND coalesce(has_table_privilege(to_regclass('markenmate.refinery_own_history')::oid, 'SELECT'), true)
                END, false) AS reads_history,
       -- Who owns the histories could put code of their own there, to be run by whoever looks.
       coalesce(own.owner = current_user AND own.owner = session_user, false) AS is_history_owner,
       own.owner AS history_owner,
       coalesce(pg_has_role(own.owner, CASE WHEN current_setting('server_version_num')::int >= 160000
                                            THEN 'SET' ELSE 'MEMBER' END), false) AS becomes_history_owner,
       current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL AS restricts_views
  FROM (VALUES (1)) one
  LEFT JOIN (SELECT pg_get_userbyid(nspowner) AS owner,
                    EXISTS (SELECT FROM pg_class
                             WHERE relnamespace = n.oid
                               AND relname IN ('refinery_schema_history', 'refinery_own_history')) AS has_history
               FROM pg_namespace n WHERE nspname = 'markenmate') own ON true
