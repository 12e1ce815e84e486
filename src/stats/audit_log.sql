-- By actor first, as that is all of it in one scan, and few rows. A column that is not there has its name in `absent`.
-- By id: an email address has no place in a file that everybody may read.
WITH window_of AS (
    SELECT coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours') AS since
), by_actor AS MATERIALIZED (
    SELECT a.user_id::text AS actor,
           count(*) FILTER (WHERE a.is_recent) AS written,
           -- Any text will do: later versions of the app write batch-<id> and restaurant-<id>.
           count(*) FILTER (WHERE a.is_recent AND coalesce(a.correlation_id, '') <> '') AS correlated,
           count(*) FILTER (WHERE a.is_recent AND a.action = 'STEP_UP_AUTH_FAILURE') AS step_ups_failed,
           count(*) FILTER (WHERE a.is_recent AND a.action ~ '^AUTHZ_FAILURE_.*ROLE') AS roles_refused,
           -- No ::json, which dies on the first text that is none. What is plain text is looked for first, which is quick.
           count(*) FILTER (WHERE a.is_recent AND a.action = 'LENDING_UPDATE' AND strpos(a.metadata, 'version_mismatch') > 0
                                  AND a.metadata ~ '"error"\s*:\s*"version_mismatch"') AS mismatches,
           -- What is infinitely old has no age.
           min(a.created_at) FILTER (WHERE isfinite(a.created_at)) AS oldest
      FROM (SELECT NULL::text, NULL::text, NULL::text, NULL::text, NULL::timestamptz) absent(user_id, action, metadata, correlation_id, created_at)
     CROSS JOIN LATERAL (
           SELECT user_id, action, metadata, correlation_id, created_at, created_at >= (SELECT since FROM window_of) AS is_recent
             FROM public.audit_log) a
     GROUP BY a.user_id
), total AS (
    SELECT coalesce(sum(written), 0) AS written, sum(correlated) AS correlated, coalesce(sum(step_ups_failed), 0) AS step_ups_failed,
           coalesce(sum(roles_refused), 0) AS roles_refused, coalesce(sum(mismatches), 0) AS mismatches, min(oldest) AS oldest,
           (SELECT extract(epoch FROM now() - since)::float8 / 86400 FROM window_of) AS days
      FROM by_actor
)
SELECT v.metric, NULL AS actor, v."table", v.value
  FROM total t
 CROSS JOIN LATERAL (VALUES
       ('version-mismatches', NULL, t.mismatches::float8),
       ('step-up-failures', NULL, t.step_ups_failed),
       ('role-failures', NULL, t.roles_refused),
       -- No row, no ratio.
       ('correlation-ids', NULL, t.correlated::float8 / nullif(t.written, 0)),
       ('audit-growth', NULL, t.written / t.days),
       ('table-growth', 'public.audit_log', t.written / t.days),
       ('audit-oldest', NULL, extract(epoch FROM now() - t.oldest)::float8)) v(metric, "table", value)
UNION ALL
(SELECT 'step-up-failures-by-actor', actor, NULL, step_ups_failed FROM by_actor
  WHERE step_ups_failed > 0 ORDER BY step_ups_failed DESC, actor LIMIT 50)
UNION ALL
(SELECT 'role-failures-by-actor', actor, NULL, roles_refused FROM by_actor
  WHERE roles_refused > 0 ORDER BY roles_refused DESC, actor LIMIT 50)
