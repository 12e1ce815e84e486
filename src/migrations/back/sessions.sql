-- Who is connected beside us: once its new code starts again, it puts back what was taken.
SELECT coalesce(nullif(a.application_name, ''), '?') AS application, coalesce(a.usename, '?') AS username,
       coalesce(host(a.client_addr), 'local') AS host, count(*)::text AS sessions
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
 GROUP BY 1, 2, 3
 ORDER BY count(*) DESC, 1, 2, 3
