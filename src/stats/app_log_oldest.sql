-- No row, no age; what is infinitely old has none.
SELECT extract(epoch FROM now() - min(created_at))::float8 AS value FROM public.app_log WHERE isfinite(created_at) HAVING count(*) > 0
