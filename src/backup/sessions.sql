-- Who is connected to the databases that are to take other names, and whether we may send them away.
SELECT a.pid::text AS pid,
       coalesce(a.usename, '?') AS username,
       coalesce(nullif(a.application_name, ''), a.backend_type, '?') AS application,
       coalesce(a.state, '?') AS state,
       NOT (current_setting('is_superuser') = 'on'
            OR a.usesysid IS NOT NULL AND NOT r.rolsuper
           AND (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))) AS out_of_reach
  FROM pg_stat_activity a
  LEFT JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.datid IN (%OIDS%) AND a.pid <> pg_backend_pid()
   -- The server sends its own workers away by itself.
   AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
 ORDER BY a.pid
