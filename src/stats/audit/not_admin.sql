-- What only an admin does, by somebody who is none now. Where the glass was broken nobody of the application
-- acted: the row stands with the one it is about.
SELECT a.user_id AS actor, u.email,
       format('%s: %s time(s), the last at %s, and is %s now', string_agg(DISTINCT a.action, ', ' ORDER BY a.action), count(*),
              coalesce(to_char(max(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'a time that is none'),
              CASE WHEN u.id IS NULL THEN 'no user any more' ELSE 'no admin' END) AS detail
  FROM audit a
  LEFT JOIN public."user" u ON u.id = a.user_id
 WHERE a.action IN ('CHANGE_ROLE', 'SET_MASTER_ADMIN', 'REVOKE_SESSIONS') AND concat(u.role) <> 'admin'
   AND NOT EXISTS (SELECT FROM every b WHERE b.action = 'BREAK_GLASS' AND b.correlation_id = a.correlation_id)
 GROUP BY a.user_id, u.id, u.email
 ORDER BY count(*) DESC, coalesce(u.email, a.user_id)
