-- No row, no age.
SELECT extract(epoch FROM now() - min(created_at))::float8 AS value FROM public.app_log HAVING count(*) > 0
