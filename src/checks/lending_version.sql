SELECT 'public.token_lending.version' AS subject,
       format('%s row(s) have none above 0, for example id %s (version %s)', count(*), min(id),
              coalesce((array_agg(version ORDER BY id))[1]::text, 'NULL')) AS detail
  FROM public.token_lending
 WHERE version IS NULL OR version < 1
HAVING count(*) > 0
