-- Of the last run that came to its end; what was stopped has left rows behind. Never: no age.
SELECT extract(epoch FROM now() - max(finished_at))::float8 AS value
  FROM markenmate.cleanup
 WHERE job = 'tokens' AND outcome = 'done'
HAVING max(finished_at) IS NOT NULL
