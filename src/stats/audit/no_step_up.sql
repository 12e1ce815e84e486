-- A token lives for 10 minutes; a minute more for clocks. Looked for among all rows: it may be older than what is in scope.
SELECT a.user_id AS actor, u.email,
       format('changed roles without a step-up in the 10 minutes before: %s time(s), the last at %s, for example row %s', count(*),
              coalesce(to_char(max(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'a time that is none'), max(a.id)) AS detail
  FROM audit a
  LEFT JOIN public."user" u ON u.id = a.user_id
 WHERE a.action = 'CHANGE_ROLE'
   AND NOT EXISTS (SELECT FROM every s
                    WHERE s.action = 'STEP_UP_AUTH_SUCCESS' AND s.user_id = a.user_id
                      AND s.created_at BETWEEN a.created_at - interval '11 minutes' AND a.created_at + interval '1 second')
   AND NOT EXISTS (SELECT FROM every b WHERE b.action = 'BREAK_GLASS' AND b.correlation_id = a.correlation_id)
 GROUP BY a.user_id, u.email
 ORDER BY coalesce(u.email, a.user_id)
