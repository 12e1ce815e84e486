-- The table's policy shows a role its own jobs only; a superuser sees all.
SELECT j.jobid::text AS id, j.schedule, j.command, j.database, j.username, j.active,
       (SELECT d.status || coalesce(': ' || left(d.return_message, 200), '')
          FROM cron.job_run_details d WHERE d.jobid = j.jobid ORDER BY d.runid DESC LIMIT 1) AS last
  FROM cron.job j
 WHERE j.jobname::text = %NAME%
 ORDER BY j.jobid
