-- What `cleanup tokens` would take away.
SELECT count(*) AS value FROM public.step_up_token WHERE expires_at < now()
