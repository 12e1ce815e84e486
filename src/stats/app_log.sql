-- A column that is not there has its name in `absent`: before version 2 there is no correlation id.
WITH window_of AS (
    SELECT coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours') AS since
), total AS (
    SELECT count(*) FILTER (WHERE l.is_recent) AS written,
           -- For information: the application never writes one there.
           count(*) FILTER (WHERE l.is_recent AND coalesce(l.correlation_id, '') <> '') AS correlated,
           -- What is infinitely old has no age.
           min(l.created_at) FILTER (WHERE isfinite(l.created_at)) AS oldest
      FROM (SELECT NULL::text, NULL::timestamptz) absent(correlation_id, created_at)
     CROSS JOIN LATERAL (SELECT correlation_id, created_at, created_at >= (SELECT since FROM window_of) AS is_recent
                           FROM public.app_log) l
)
SELECT v.metric, v."table", v.value
  FROM total t
 CROSS JOIN window_of w
 CROSS JOIN LATERAL (VALUES
       -- No row, no ratio.
       ('log-correlation-ids', NULL, t.correlated::float8 / nullif(t.written, 0)),
       ('table-growth', 'public.app_log', t.written / (extract(epoch FROM now() - w.since)::float8 / 86400)),
       ('app-log-oldest', NULL, extract(epoch FROM now() - t.oldest)::float8)) v(metric, "table", value)
