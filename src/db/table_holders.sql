SELECT DISTINCT ON (l.strength, coalesce(l.pid::text, x.gid), c.relname)
       l.pid,
       format('public.%I', c.relname) AS relation,
       regexp_replace(l.mode, 'Lock$', '') AS mode,
       coalesce(a.usename, x.owner, '?') AS username,
       coalesce(nullif(a.application_name, ''), x.gid, a.backend_type, '?') AS application,
       coalesce(a.state, CASE WHEN l.pid IS NULL THEN 'prepared' ELSE 'running' END) AS state,
       greatest(0, extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, x.prepared)))::bigint AS age,
       coalesce(a.backend_type = 'autovacuum worker', false) AS autovacuum,
       coalesce(a.application_name LIKE 'pg\_dump%', false) AS pg_dump
  FROM (SELECT k.*, array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
                                         'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock',
                                         'AccessShareLock'], k.mode) AS strength
          FROM pg_locks k
         WHERE k.locktype = 'relation' AND k.granted AND k.pid IS DISTINCT FROM pg_backend_pid()
           AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())) l
  JOIN pg_class c ON c.oid = l.relation AND c.relname IN (%TABLES%)
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_prepared_xacts x ON l.pid IS NULL AND l.virtualtransaction = '-1/' || x.transaction
 ORDER BY l.strength, coalesce(l.pid::text, x.gid), c.relname
 LIMIT 20
