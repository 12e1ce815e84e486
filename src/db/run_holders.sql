SELECT l.pid,
       'the lock between runs of markenmate' AS relation,
       regexp_replace(l.mode, 'Lock$', '') AS mode,
       coalesce(a.usename, '?') AS username,
       coalesce(nullif(a.application_name, ''), '?') AS application,
       coalesce(a.state, 'running') AS state,
       greatest(0, extract(epoch FROM clock_timestamp() - a.xact_start))::bigint AS age,
       false AS autovacuum,
       false AS pg_dump
  FROM pg_locks l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %CLASS% AND l.objid = %OBJECT% AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.pid IS DISTINCT FROM pg_backend_pid()
