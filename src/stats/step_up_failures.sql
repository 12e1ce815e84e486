SELECT count(*) AS value
  FROM public.audit_log
 WHERE action = 'STEP_UP_AUTH_FAILURE'
   AND created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
