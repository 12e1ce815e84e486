WITH gone AS (
    DELETE FROM public.step_up_token WHERE expires_at < now() RETURNING id
), counted AS (
    SELECT count(*) AS n, min(id) AS first_id, max(id) AS last_id FROM gone
), again AS (
    UPDATE markenmate.cleanup c
       SET cut_off = now(), began_at = now(), last_at = clock_timestamp(), finished_at = clock_timestamp()
      FROM counted
     WHERE counted.n = 0 AND c.run_id = 'pg_cron' AND c.outcome = 'done' AND c.deleted = 0
       AND c.cleanup_id = (SELECT max(l.cleanup_id) FROM markenmate.cleanup l WHERE l.job = 'tokens')
    RETURNING c.cleanup_id
)
INSERT INTO markenmate.cleanup
       (job, run_id, cut_off, last_at, finished_at, outcome, deleted, skipped, remaining, first_id, last_id)
SELECT 'tokens', 'pg_cron', now(), clock_timestamp(), clock_timestamp(), 'done', n, 0, 0, first_id, last_id
  FROM counted
 WHERE NOT EXISTS (SELECT FROM again)
