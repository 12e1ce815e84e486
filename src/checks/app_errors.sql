WITH since AS (
    SELECT coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz,
                    now() - interval '24 hours') AS at
)
SELECT 'public.app_log' AS subject,
       format('%s error(s) since %s; the newest: %s', count(*),
              to_char(min(since.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
              left((array_agg(message ORDER BY created_at DESC, id DESC))[1], 200)) AS detail
  FROM public.app_log, since
 WHERE concat(level) = 'error' AND created_at >= since.at
HAVING count(*) > 0
