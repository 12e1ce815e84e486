SELECT l.pid,
       l.virtualtransaction AS transaction,
       %TOLD% AS relation,
       '' AS root,
       false AS queued,
       regexp_replace(l.mode, 'Lock$', '') AS mode,
       coalesce(a.usename, '?') AS username,
       coalesce(nullif(a.application_name, ''), '?') AS application,
       coalesce(a.state, 'state not visible') AS state,
       floor(extract(epoch FROM clock_timestamp() - a.xact_start))::bigint AS age,
       false AS autovacuum,
       false AS wraparound,
       false AS pg_dump,
       coalesce(r.rolsuper AND current_setting('is_superuser') <> 'on', false) AS out_of_reach
  FROM pg_locks l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_roles r ON r.oid = a.usesysid
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %CLASS% AND l.objid = %OBJECT% AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.pid IS DISTINCT FROM pg_backend_pid()
