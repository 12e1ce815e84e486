-- By id: an email address has no place in a file that everybody may read.
SELECT user_id AS actor, count(*) AS value
  FROM public.audit_log
 WHERE action = 'STEP_UP_AUTH_FAILURE'
   AND created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
 GROUP BY user_id
 ORDER BY count(*) DESC, user_id
 LIMIT 50
