-- A column that is not there has its name in `absent`.
WITH window_of AS (
    SELECT coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours') AS since
), total AS (
    SELECT count(*) FILTER (WHERE s.is_recent) AS issued,
           count(*) FILTER (WHERE s.is_recent AND s.used) AS used,
           -- What `cleanup tokens` would take away.
           count(*) FILTER (WHERE s.expires_at < now()) AS expired,
           -- As the application has it: not used, and its time is not over.
           count(*) FILTER (WHERE NOT s.used AND s.expires_at >= now()) AS waiting,
           -- What is infinitely old has no age.
           min(s.created_at) FILTER (WHERE isfinite(s.created_at)) AS oldest
      FROM (SELECT NULL::boolean, NULL::timestamptz, NULL::timestamptz) absent(used, expires_at, created_at)
     CROSS JOIN LATERAL (SELECT used, expires_at, created_at, created_at >= (SELECT since FROM window_of) AS is_recent
                           FROM public.step_up_token) s
)
SELECT v.metric, v."table", v.value
  FROM total t
 CROSS JOIN window_of w
 CROSS JOIN LATERAL (VALUES
       ('tokens-issued', NULL, t.issued::float8),
       ('tokens-used', NULL, t.used),
       ('tokens-expired', NULL, t.expired),
       ('tokens-waiting', NULL, t.waiting),
       ('table-growth', 'public.step_up_token', t.issued / (extract(epoch FROM now() - w.since)::float8 / 86400)),
       ('tokens-oldest', NULL, extract(epoch FROM now() - t.oldest)::float8)) v(metric, "table", value)
