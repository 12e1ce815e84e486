SELECT 'public.audit_log.action' AS object,
       format('%s row(s) do not say what was done, for example row %s', count(*), max(id)) AS detail
  FROM audit WHERE btrim(action) = ''
HAVING count(*) > 0
