SELECT a.user_id AS actor, u.email, CASE WHEN u.id IS NOT NULL THEN concat(u.role) END AS role, a.action,
       count(*) AS count, count(*) FILTER (WHERE a.archived) AS archived,
       to_char(min(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS first,
       to_char(max(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last
  FROM audit a
  LEFT JOIN public."user" u ON u.id = a.user_id
 GROUP BY a.user_id, u.id, u.email, concat(u.role), a.action
 ORDER BY a.user_id, count(*) DESC, a.action
