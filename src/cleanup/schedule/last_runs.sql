SELECT DISTINCT ON (c.job)
       c.job, c.run_id, c.outcome,
       to_char(c.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS began_at,
       to_char(c.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
       to_char(c.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS finished_at,
       c.deleted::text AS deleted, c.archived::text AS archived, c.remaining::text AS remaining,
       -- Whoever is at work holds the lock between cleanups.
       (c.finished_at IS NULL
        AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                       AND l.classid = %CLASS% AND l.objid = %OBJECT%
                       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))::text AS at_work
  FROM markenmate.cleanup c
 ORDER BY c.job, c.last_at DESC, c.cleanup_id DESC
