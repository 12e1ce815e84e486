-- The first statement of a new backend pays for every catalogue it plans a scan of: this one has
-- functions only, but for two rows found by their oid.
SELECT current_database() AS database,
       current_user::text AS "user",
       current_setting('server_version') AS server_version,
       current_setting('server_version_num') AS server_version_num,
       /* Left out where the role may not ask: a function is refused wherever it is named. */
       (pg_control_system()).system_identifier::text AS system_identifier,
       pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only') AS read_only,
       current_setting('is_superuser') AS superuser,
       CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
            THEN to_regclass('markenmate.refinery_schema_history') IS NOT NULL
              OR to_regclass('markenmate.refinery_own_history') IS NOT NULL
            ELSE to_regnamespace('markenmate') IS NOT NULL END AS has_history,
       -- A table that is gone is no matter of privileges: reading it says so.
       coalesce(CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
                     THEN coalesce(has_table_privilege(to_regclass('markenmate.refinery_schema_history')::oid, 'SELECT'), true)
                      AND coalesce(has_table_privilege(to_regclass('markenmate.refinery_own_history')::oid, 'SELECT'), true)
                END, false) AS reads_history,
       -- Nobody but us could have put anything there that runs when we look.
       (SELECT count(*) = 2 FROM pg_class
         WHERE oid IN (CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
                            THEN to_regclass('markenmate.refinery_schema_history')::oid END,
                       CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
                            THEN to_regclass('markenmate.refinery_own_history')::oid END)
           AND relkind = 'r' AND pg_get_userbyid(relowner) = current_user
           AND current_user = session_user) AS is_history_owner,
       current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL AS restricts_views
