SELECT count(*) AS value
  FROM public.audit_log
 WHERE action ~ '^AUTHZ_FAILURE_.*ROLE'
   AND created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
