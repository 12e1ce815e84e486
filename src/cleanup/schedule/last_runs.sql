SELECT DISTINCT ON (c.job)
       c.job, c.run_id, c.outcome,
       to_char(c.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS began_at,
       to_char(c.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
       to_char(c.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS finished_at,
       c.deleted::text AS deleted, c.archived::text AS archived, c.remaining::text AS remaining,
       floor(extract(epoch FROM clock_timestamp() - c.last_at))::bigint::text AS seconds_ago
  FROM markenmate.cleanup c
 ORDER BY c.job, c.last_at DESC, c.cleanup_id DESC
