-- As many within a quarter of an hour as lock an admin out of this tool; the application locks nobody out.
, counted AS (
    SELECT user_id, created_at,
           count(*) OVER (PARTITION BY user_id ORDER BY created_at RANGE BETWEEN interval '15 minutes' PRECEDING AND CURRENT ROW) AS n
      FROM audit
     WHERE created_at IS NOT NULL AND (action = 'STEP_UP_AUTH_FAILURE' OR action LIKE 'AUTHZ\_FAILURE%')
), most AS (
    SELECT DISTINCT ON (user_id) user_id, created_at, n FROM counted WHERE n >= 5 ORDER BY user_id, n DESC, created_at
)
SELECT m.user_id AS actor, u.email,
       format('failed %s times within 15 minutes, up to %s', m.n,
              to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS detail
  FROM most m
  LEFT JOIN public."user" u ON u.id = m.user_id
 ORDER BY m.n DESC, coalesce(u.email, m.user_id)
