-- `root`: of which named table it is a child, or a child's child; else itself.
WITH RECURSIVE named(oid, root) AS (
    SELECT c.oid, c.oid
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relname = ANY (ARRAY[%TABLES%]::text[]) AND c.relkind IN ('r', 'p')
     UNION
    SELECT i.inhrelid, n.root FROM named n JOIN pg_inherits i ON i.inhparent = n.oid
), looked_at(oid, root) AS (
    SELECT n.oid, n.root FROM named n
     UNION ALL
    -- Our own, and whoever keeps even readers of the catalogue away.
    SELECT c.oid, c.oid
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('public', 'markenmate') AND c.oid NOT IN (SELECT n.oid FROM named n)
)
SELECT * FROM (
SELECT DISTINCT ON (l.strength, l.granted, coalesce(l.pid::text, x.gid), c.relname, k.root)
       l.pid, l.strength, NOT l.granted AS queued, c.relname, l.virtualtransaction AS transaction,
       format('%I.%I', n.nspname, c.relname) AS relation,
       (SELECT format('%I.%I', rn.nspname, rc.relname) FROM pg_class rc JOIN pg_namespace rn ON rn.oid = rc.relnamespace
         WHERE rc.oid = k.root) AS root,
       regexp_replace(l.mode, 'Lock$', '') AS mode,
       coalesce(a.usename, x.owner, '?') AS username,
       coalesce(nullif(a.application_name, ''), x.gid, a.backend_type,
                CASE WHEN a.pid IS NOT NULL AND a.usesysid IS NULL AND NOT pg_is_in_recovery()
                     THEN 'autovacuum worker' END, '?') AS application,
       -- A state that may not be seen is none; the server's own processes have none either.
       coalesce(a.state, CASE WHEN l.pid IS NULL THEN 'prepared' WHEN a.usesysid IS NULL THEN 'running'
                              ELSE 'state not visible' END) AS state,
       floor(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, x.prepared)))::bigint AS age,
       -- Without pg_read_all_stats the type is hidden, but not that there is no user: of a primary's own
       -- processes, autovacuum's alone lock tables.
       coalesce(a.backend_type = 'autovacuum worker',
                a.pid IS NOT NULL AND a.usesysid IS NULL AND NOT pg_is_in_recovery()) AS autovacuum,
       -- What it is at work on says why; where that is hidden, the table's age does.
       coalesce(a.usesysid IS NULL AND NOT pg_is_in_recovery()
                AND CASE WHEN a.query LIKE 'autovacuum: %' THEN a.query LIKE '%(to prevent wraparound)'
                         ELSE age(c.relfrozenxid) > least(current_setting('autovacuum_freeze_max_age')::integer,
                                                          (SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) o
                                                            WHERE o.option_name = 'autovacuum_freeze_max_age'))
                              OR mxid_age(c.relminmxid) > current_setting('autovacuum_multixact_freeze_max_age')::integer
                    END AND a.pid IS NOT NULL, false) AS wraparound,
       coalesce(a.application_name LIKE 'pg\_dump%', false) AS pg_dump,
       coalesce(r.rolsuper AND current_setting('is_superuser') <> 'on', false) AS out_of_reach
  FROM (SELECT k.*, array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
                                         'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock',
                                         'AccessShareLock'], k.mode) AS strength
          FROM pg_locks k
         WHERE k.locktype = 'relation' AND k.pid IS DISTINCT FROM pg_backend_pid()
           AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())) l
  JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'f')
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN looked_at k ON k.oid = c.oid
   AND (k.oid IN (SELECT n.oid FROM named n) OR n.nspname = 'markenmate' OR l.mode = 'AccessExclusiveLock')
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_roles r ON r.oid = a.usesysid
  -- What was prepared keeps the virtual id of its session until a restart; its own id is a lock, too.
  LEFT JOIN pg_locks t ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid'
                      AND t.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_prepared_xacts x ON x.transaction = t.transactionid
 ORDER BY l.strength, l.granted, coalesce(l.pid::text, x.gid), c.relname, k.root
) h
 -- Of many, those that stay are seen.
 ORDER BY coalesce(age < 1, false), strength, coalesce(pid::text, application), relname
 LIMIT 100
