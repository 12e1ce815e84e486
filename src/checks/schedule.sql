-- A job that never ran is late since its runs could be recorded.
WITH since AS (
    SELECT min(h.applied_on)::timestamptz AS at FROM markenmate.refinery_own_history h WHERE h.version = 4
), ran AS (
    -- What ended in the middle ran, as far as it took rows away.
    SELECT c.job, max(coalesce(b.at, c.last_at)) AS at
      FROM markenmate.cleanup c
      LEFT JOIN (SELECT cleanup_id, max(at) AS at FROM markenmate.cleanup_batch GROUP BY cleanup_id) b USING (cleanup_id)
     WHERE c.outcome IN ('done', 'stopped') OR c.deleted > 0 OR b.at IS NOT NULL
     GROUP BY c.job
), late AS (
    SELECT j.job, ran.at, coalesce(ran.at, since.at) < now() - j.patience AS is_late
      FROM (VALUES ('tokens', interval '1 hour'), ('audit', interval '35 days')) j (job, patience)
     CROSS JOIN since LEFT JOIN ran USING (job)
), waiting AS (
    SELECT 'tokens' AS job, 'public.step_up_token' AS subject, count(*) AS n, 'expired token(s)' AS what
      FROM public.step_up_token WHERE expires_at < now()
     UNION ALL
    SELECT 'audit', 'public.audit_log', count(*), 'row(s) older than 90 days'
      FROM public.audit_log WHERE created_at < now() - interval '90 days'
)
SELECT w.subject,
       format('cleanup %s %s; %s %s wait', w.job,
              coalesce('last ran ' || to_char(late.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'has never run'),
              w.n, w.what) AS detail,
       format('markenmate cleanup %s; to have it run by itself: markenmate cleanup schedule', w.job) AS remedy
  FROM waiting w JOIN late USING (job)
 WHERE late.is_late AND w.n > 0
 ORDER BY w.job DESC
