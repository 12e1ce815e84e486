-- No row, no age.
SELECT extract(epoch FROM now() - min(created_at))::float8 AS value FROM public.step_up_token HAVING count(*) > 0
