-- What the role may do, and for whom it would do it.
SELECT current_user::text AS "user",
       t.owner AS table_owner,
       d.owner AS database_owner,
       pg_has_role(t.owner, m.membership) AS becomes_table_owner,
       pg_has_role(d.owner, m.membership) AS becomes_database_owner,
       has_database_privilege(current_database(), 'CREATE') AS user_creates_schemas,
       has_database_privilege(t.owner, current_database(), 'CREATE') AS table_owner_creates_schemas,
       has_schema_privilege(current_user, p.oid, 'CREATE') AS user_creates_in_public,
       has_schema_privilege(t.owner, p.oid, 'CREATE') AS table_owner_creates_in_public,
       has_schema_privilege(d.owner, p.oid, 'CREATE') AS database_owner_creates_in_public,
       s.owner AS own_schema_owner,
       (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relname = 'audit_log_archive') AS guide_archive,
       d.oid::text AS database_oid,
       -- A partitioned table has its rows elsewhere, and so may one that is inherited.
       coalesce(CASE WHEN t.relkind = 'p' OR t.relhassubclass THEN true ELSE pg_relation_size(t.oid) > 0 END, false) AS holds_users,
       -- What a way back keeps.
       (SELECT count(*) FROM pg_class
         WHERE relnamespace = to_regnamespace('markenmate_quarantine') AND relkind = 'r') AS set_aside,
       -- What cleanup orphans keeps: its tables are named so; who looks may not read where they are registered.
       (SELECT count(*) FROM pg_class
         WHERE relnamespace = to_regnamespace('markenmate_quarantine') AND relkind = 'r'
           AND relname ~ '^orphans_.*_[0-9]{14}_[0-9a-f]{8}_[0-9]+$') AS orphans_aside,
       -- Restores name theirs so; whose they are is another question.
       (SELECT count(*) FROM pg_database WHERE datname ~ '_restoring_[0-9]+_[0-9a-f]{8}$') AS restoring,
       -- What runs along with each statement of ours that makes or drops something.
       (SELECT string_agg(format('%I', evtname), ', ' ORDER BY evtname) FROM pg_event_trigger
         WHERE evtenabled IN ('O', 'A') AND evtevent IN ('ddl_command_start', 'ddl_command_end', 'table_rewrite', 'sql_drop')) AS event_triggers,
       (SELECT count(*) FROM pg_database WHERE datname ~ '_before_restore_[0-9]{14}') AS before_restore,
       -- Where the application is not: whose database may this be?
       CASE WHEN t.owner IS NULL
            THEN (SELECT concat(string_agg(name, ', ') FILTER (WHERE n <= 3),
                                ' and ' || nullif(greatest(count(*) - 3, 0), 0) || ' more')
                    FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name,
                                 row_number() OVER (ORDER BY n.nspname <> 'public', n.nspname, c.relname) AS n
                            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                           WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND n.nspname !~ '^pg_'
                             AND n.nspname NOT IN ('information_schema', 'markenmate')
                             -- What an extension brings is nobody's data.
                             AND NOT EXISTS (SELECT FROM pg_depend d
                                              WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
                         ) other)
       END AS others
  FROM (SELECT CASE WHEN current_setting('server_version_num')::int >= 160000
                    THEN 'SET' ELSE 'MEMBER' END AS membership) m
 CROSS JOIN (SELECT oid, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database()) d
  LEFT JOIN (SELECT oid FROM pg_namespace WHERE nspname = 'public') p ON true
  LEFT JOIN (SELECT oid, relkind, relhassubclass, pg_get_userbyid(relowner) AS owner, relnamespace FROM pg_class
              WHERE relname = 'user' AND relkind IN ('r', 'p')) t ON t.relnamespace = p.oid
  LEFT JOIN (SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = 'markenmate') s ON true
