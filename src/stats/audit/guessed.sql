-- Somebody who tries passwords until one is right looks like this.
, counted AS (
    SELECT user_id, action, created_at,
           count(*) FILTER (WHERE action = 'STEP_UP_AUTH_FAILURE') OVER
               (PARTITION BY user_id ORDER BY created_at RANGE BETWEEN interval '15 minutes' PRECEDING AND CURRENT ROW) AS failed
      FROM audit
     WHERE created_at IS NOT NULL AND action IN ('STEP_UP_AUTH_FAILURE', 'STEP_UP_AUTH_SUCCESS')
), found AS (
    SELECT user_id, count(*) AS n, max(failed) AS failed, max(created_at) AS at
      FROM counted WHERE action = 'STEP_UP_AUTH_SUCCESS' AND failed >= 5 GROUP BY user_id
)
SELECT f.user_id AS actor, u.email,
       format('a step-up succeeded after %s that failed within 15 minutes, at %s', f.failed,
              to_char(f.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS detail
  FROM found f
  LEFT JOIN public."user" u ON u.id = f.user_id
 ORDER BY coalesce(u.email, f.user_id)
