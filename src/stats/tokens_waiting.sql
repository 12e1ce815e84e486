-- As the application has it: not used, and its time is not over.
SELECT count(*) AS value FROM public.step_up_token WHERE NOT used AND expires_at >= now()
