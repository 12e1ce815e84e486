-- The application refuses that. Where the glass was broken nobody of it acted.
SELECT a.user_id AS actor, u.email,
       format('changed their own role: %s time(s), the last at %s, for example row %s', count(*),
              coalesce(to_char(max(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'a time that is none'), max(a.id)) AS detail
  FROM audit a
  LEFT JOIN public."user" u ON u.id = a.user_id
 WHERE a.action = 'CHANGE_ROLE' AND a.target_user_id = a.user_id
   AND NOT EXISTS (SELECT FROM every b WHERE b.action = 'BREAK_GLASS' AND b.correlation_id = a.correlation_id)
 GROUP BY a.user_id, u.email
 ORDER BY coalesce(u.email, a.user_id)
