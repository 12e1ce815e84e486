-- The first statement of a new backend pays for every catalogue it plans a scan of: this one has
-- functions but for a few rows, which look up what they need.
SELECT current_database() AS database,
       current_user::text AS "user",
       current_setting('server_version') AS server_version,
       current_setting('server_version_num') AS server_version_num,
       /* Left out where the role may not ask: a function is refused wherever it is named. */
       (pg_control_system()).system_identifier::text AS system_identifier,
       pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only') AS read_only,
       current_setting('is_superuser') AS superuser,
       coalesce(own.has_history, false) AS has_history,
       -- A table that is gone is no matter of privileges: reading it says so.
       coalesce(CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
                     THEN coalesce(has_table_privilege(to_regclass('markenmate.refinery_schema_history')::oid, 'SELECT'), true)
                      AND coalesce(has_table_privilege(to_regclass('markenmate.refinery_own_history')::oid, 'SELECT'), true)
                END, false) AS reads_history,
       -- Nobody but us could have put anything there that runs when we look or write.
       coalesce(own.owner = current_user AND own.owner = session_user AND own.only_ours, false) AS is_history_owner,
       own.owner AS history_owner,
       coalesce(pg_has_role(own.owner, CASE WHEN current_setting('server_version_num')::int >= 160000
                                            THEN 'SET' ELSE 'MEMBER' END), false) AS becomes_history_owner,
       current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL AS restricts_views
  FROM (VALUES (1)) one
  LEFT JOIN (SELECT pg_get_userbyid(n.nspowner) AS owner, t.has_history, t.only_ours
               FROM pg_namespace n
              CROSS JOIN LATERAL (
                    SELECT coalesce(bool_or(c.relname LIKE 'refinery%'), false) AS has_history,
                           bool_and(c.relkind = 'r' AND c.relowner = n.nspowner AND NOT c.relhastriggers
                                    AND NOT c.relispartition
                                    AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) acl
                                                     WHERE acl.privilege_type IN ('TRIGGER', 'REFERENCES')
                                                       AND acl.grantee <> c.relowner)) AS only_ours
                      FROM pg_class c
                     WHERE c.relnamespace = n.oid
                       AND c.relname IN ('refinery_schema_history', 'refinery_own_history', 'run', 'audit_log_archive')) t
              WHERE n.nspname = 'markenmate') own ON true
