SELECT DISTINCT ON (c.job)
       c.job, c.run_id, c.outcome,
       to_char(c.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS began_at,
       to_char(coalesce(b.at, c.last_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
       to_char(c.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS finished_at,
       (c.deleted + coalesce(b.deleted, 0))::text AS deleted, (c.archived + coalesce(b.archived, 0))::text AS archived, c.remaining::text AS remaining, c.skipped::text AS skipped,
       -- Whoever is at work holds the lock between cleanups, of all jobs, since before its run began: a run after which
       -- another began has ended, and so has one that is older than the lock. Of a session that may not be seen nobody
       -- knows the age. The server's own runs take no lock, and are whole or not there.
       (c.finished_at IS NULL
        AND c.cleanup_id = (SELECT max(n.cleanup_id) FROM markenmate.cleanup n WHERE n.run_id <> 'pg_cron')
        AND EXISTS (SELECT FROM pg_locks l LEFT JOIN pg_stat_activity s ON s.pid = l.pid
                     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                       AND l.classid = %CLASS% AND l.objid = %OBJECT%
                       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                       AND coalesce(s.backend_start <= c.began_at, true)))::text AS at_work
  FROM markenmate.cleanup c
  -- Of one that has not ended.
  LEFT JOIN (SELECT cleanup_id, max(at) AS at, sum(deleted) AS deleted, sum(archived) AS archived
               FROM markenmate.cleanup_batch GROUP BY cleanup_id) b USING (cleanup_id)
 ORDER BY c.job, coalesce(b.at, c.last_at) DESC, c.cleanup_id DESC
