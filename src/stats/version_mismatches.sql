-- No ::json, which dies on the first text that is none.
SELECT count(*) AS value
  FROM public.audit_log
 WHERE action = 'LENDING_UPDATE' AND metadata ~ '"error"\s*:\s*"version_mismatch"'
   AND created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
