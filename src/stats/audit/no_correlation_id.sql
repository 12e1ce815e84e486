-- Any text will do.
SELECT 'public.audit_log.correlation_id' AS object,
       format('%s row(s) have none, for example row %s', count(*), max(id)) AS detail
  FROM audit WHERE coalesce(btrim(correlation_id), '') = ''
HAVING count(*) > 0
