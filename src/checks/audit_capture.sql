-- What rows can tell: whether those there are say what was done, and whether lendings made since
-- the migration left theirs. Refusals and role changes that wrote no row leave no trace to look for.
WITH since AS (
    -- Older audit rows may be in an archive: their lendings are not judged.
    SELECT greatest(coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz,
                             now() - interval '24 hours'),
                    (SELECT coalesce(min(created_at), now() - interval '90 days') FROM public.audit_log)) AS at
), created AS (
    SELECT substring(metadata FROM '"lendingId" *: *([0-9]{1,18})')::bigint AS lending
      FROM public.audit_log WHERE action = 'LENDING_CREATE'
), missed AS (
    SELECT count(*) AS n, min(l.id) AS example
      FROM public.token_lending l, since
     WHERE l.created_at >= since.at AND NOT EXISTS (SELECT FROM created WHERE created.lending = l.id)
), nameless AS (
    SELECT count(*) AS n, min(id) AS example FROM public.audit_log WHERE coalesce(btrim(action), '') = ''
), roleless AS (
    -- No ::json, which dies on the first text that is none.
    SELECT count(*) AS n, min(id) AS example FROM public.audit_log
     WHERE action = 'CHANGE_ROLE' AND coalesce(metadata ~ '"oldRole".*"newRole"', false) IS FALSE
)
SELECT 'public.audit_log.action' AS subject,
       format('%s row(s) do not say what was done, for example id %s', n, example) AS detail
  FROM nameless WHERE n > 0
UNION ALL
SELECT 'public.audit_log.metadata',
       format('%s change(s) of a role do not say which, for example id %s', n, example)
  FROM roleless WHERE n > 0
UNION ALL
SELECT 'public.token_lending',
       format('%s lending(s) made since %s have no LENDING_CREATE in the audit log, for example id %s',
              n, to_char(since.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), example)
  FROM missed, since WHERE n > 0
