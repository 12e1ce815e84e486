SELECT count(*) AS value
  FROM public.step_up_token
 WHERE created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours')
