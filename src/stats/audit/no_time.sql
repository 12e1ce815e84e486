SELECT 'public.audit_log.created_at' AS object,
       format('%s row(s) have a time that is none: infinite, before the year 1, or after 9999; for example row %s', count(*), max(id)) AS detail
  FROM audit WHERE created_at IS NULL
HAVING count(*) > 0
