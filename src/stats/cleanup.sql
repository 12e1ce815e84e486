-- Of the last run that came to its end; what was stopped has left rows behind. Never: no age.
SELECT j.metric, extract(epoch FROM now() - max(c.finished_at))::float8 AS value
  FROM markenmate.cleanup c
  JOIN (VALUES ('tokens', 'cleanup-tokens-age'), ('audit', 'cleanup-audit-age'), ('app-log', 'cleanup-app-log-age')) j(job, metric)
    ON j.job = c.job
 WHERE c.outcome = 'done'
 GROUP BY j.metric
