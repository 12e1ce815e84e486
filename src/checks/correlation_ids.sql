-- Any text will do: later versions of the app write batch-<id> and restaurant-<id>.
WITH judged AS (
    SELECT id, coalesce(correlation_id, '') = '' AS bare
      FROM public.audit_log
     WHERE created_at >= coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz,
                                  now() - interval '24 hours')
)
SELECT 'public.audit_log.correlation_id' AS subject,
       format('%s of %s audit rows have none, for example id %s', count(*) FILTER (WHERE bare), count(*),
              max(id) FILTER (WHERE bare)) AS detail
  FROM judged
HAVING count(*) FILTER (WHERE bare) > 0
