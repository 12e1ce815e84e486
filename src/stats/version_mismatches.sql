-- No ::json, which dies on the first text that is none. What is plain text is looked for first, which is quick.
SELECT count(*) AS value
  FROM public.audit_log
 WHERE action = 'LENDING_UPDATE' AND strpos(metadata, 'version_mismatch') > 0 AND metadata ~ '"error"\s*:\s*"version_mismatch"'
   AND created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
