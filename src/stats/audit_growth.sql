WITH window_of AS (
    SELECT coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours') AS since
)
SELECT (SELECT count(*) FROM public.audit_log a WHERE a.created_at >= w.since)
       / (extract(epoch FROM now() - w.since)::float8 / 86400) AS value
  FROM window_of w
