-- No row, no ratio. Any text will do: later versions of the app write batch-<id> and restaurant-<id>.
SELECT count(*) FILTER (WHERE coalesce(correlation_id, '') <> '')::float8 / count(*) AS value
  FROM public.audit_log
 WHERE created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
HAVING count(*) > 0
