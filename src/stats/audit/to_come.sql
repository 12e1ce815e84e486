-- A minute is a matter of clocks.
SELECT 'public.audit_log.created_at' AS object,
       format('%s row(s) are of a time to come, for example row %s', count(*), max(id)) AS detail
  FROM audit WHERE created_at > now() + interval '1 minute'
HAVING count(*) > 0
