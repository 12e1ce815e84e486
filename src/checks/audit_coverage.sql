-- Since the hardening, or --since: what was there before left no rows, and what the guide's cleanup destroyed is not asked for.
WITH since AS (
    SELECT greatest(coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz,
                             now() - interval '24 hours'),
                    -- What is in files is not looked for here.
                    (SELECT (max(e.month) + interval '1 month 1 day') AT TIME ZONE 'UTC' FROM markenmate.export e
                      WHERE e.state = 'done' AND e.archive LIKE '%audit%')) AS at
), audit AS (
    SELECT user_id, target_user_id, action, metadata, created_at FROM public.audit_log
     WHERE action IN ('CHANGE_ROLE', 'LENDING_UPDATE', 'STEP_UP_AUTH_SUCCESS')
     UNION ALL
    SELECT user_id, target_user_id, action, metadata, created_at FROM markenmate.audit_log_archive
     WHERE action IN ('CHANGE_ROLE', 'LENDING_UPDATE', 'STEP_UP_AUTH_SUCCESS')
), latest AS (
    SELECT DISTINCT ON (a.target_user_id) a.target_user_id AS id,
           substring(a.metadata FROM '"newRole" *: *"([^"]*)"') AS role
      FROM audit a, since
     WHERE a.action = 'CHANGE_ROLE' AND a.created_at >= since.at AND a.target_user_id IS NOT NULL
     ORDER BY a.target_user_id, a.created_at DESC
), made AS (
    -- Who was there before may have been an admin all along, unless the last row says otherwise. The first admin
    -- has nobody to be made one by, and the app makes its own without a row.
    SELECT count(*) AS n, min(u.email) AS example
      FROM public."user" u CROSS JOIN since LEFT JOIN latest l ON l.id = u.id
     WHERE concat(u.role) = 'admin'
       AND (l.role <> 'admin' OR l.id IS NULL AND u.created_at >= since.at)
       AND lower(u.email) <> 'admin@markenmate.app'
       AND u.id <> (SELECT f.id FROM public."user" f WHERE concat(f.role) = 'admin' ORDER BY f.created_at, f.id LIMIT 1)
), updated AS (
    SELECT DISTINCT substring(metadata FROM '"lendingId" *: *"?([0-9]{1,18})')::bigint AS lending
      FROM audit WHERE action = 'LENDING_UPDATE'
), lendings AS (
    SELECT count(*) AS n, min(l.id) AS example
      FROM public.token_lending l, since
     WHERE l.version > 1 AND l.updated_at >= since.at
       AND NOT EXISTS (SELECT FROM updated WHERE updated.lending = l.id)
), tokens AS (
    -- The row is written when the token is issued. A minute: the app's clock sets one end, the server's the other.
    SELECT count(*) AS n, min(t.id) AS example
      FROM public.step_up_token t, since
     WHERE t.used AND t.created_at >= since.at
       AND NOT EXISTS (SELECT FROM audit a
                        WHERE a.action = 'STEP_UP_AUTH_SUCCESS' AND a.user_id = t.user_id
                          AND a.created_at BETWEEN t.created_at - interval '1 minute'
                                               AND t.expires_at + interval '1 minute')
), found AS (
    SELECT 1 AS place, 'public."user".role' AS subject,
           format('%s admin(s) became so without a CHANGE_ROLE, for example %s', n, example) AS detail
      FROM made WHERE n > 0
     UNION ALL
    SELECT 2, 'public.token_lending.version',
           format('%s lending(s) were updated without a LENDING_UPDATE, for example id %s', n, example)
      FROM lendings WHERE n > 0
     UNION ALL
    SELECT 3, 'public.step_up_token.used',
           format('%s token(s) were used without a STEP_UP_AUTH_SUCCESS, for example id %s', n, example)
      FROM tokens WHERE n > 0
)
SELECT f.subject,
       format('%s, since %s', f.detail, to_char(since.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS detail
  FROM found f, since
 ORDER BY f.place
