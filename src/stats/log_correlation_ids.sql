-- For information: the application never writes one there.
SELECT count(*) FILTER (WHERE coalesce(correlation_id, '') <> '')::float8 / count(*) AS value
  FROM public.app_log
 WHERE created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
HAVING count(*) > 0
