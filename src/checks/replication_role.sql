-- Sessions that replay somebody else's changes fire no triggers: whoever gets that from a setting passes
-- every guard, and every key, unseen.
SELECT 'setting session_replication_role of '
       || concat_ws(' in ', 'role ' || quote_ident(r.rolname), 'database ' || quote_ident(d.datname)) AS subject,
       'no trigger and no key holds for whoever it applies to' AS detail,
       CASE WHEN s.setrole = 0 THEN format('ALTER DATABASE %I RESET session_replication_role;', d.datname)
            ELSE format('ALTER ROLE %I%s RESET session_replication_role;', r.rolname,
                        CASE WHEN s.setdatabase = 0 THEN '' ELSE format(' IN DATABASE %I', d.datname) END) END AS remedy
  FROM pg_db_role_setting s
  LEFT JOIN pg_roles r ON r.oid = s.setrole
  LEFT JOIN pg_database d ON d.oid = s.setdatabase
 WHERE EXISTS (SELECT FROM unnest(s.setconfig) c WHERE lower(c) = 'session_replication_role=replica')
   AND (s.setdatabase = 0 OR d.datname = current_database())
 UNION ALL
SELECT 'setting session_replication_role of the server', 'no trigger and no key holds for anybody',
       'ALTER SYSTEM RESET session_replication_role; SELECT pg_reload_conf();'
  FROM pg_settings
 WHERE name = 'session_replication_role' AND reset_val = 'replica' AND source NOT IN ('database', 'user', 'database user', 'client', 'session')
 ORDER BY 1
