-- Users with what decides whether they may act. What is marked is there where the app's version has it, and
-- where it is asked for.
SELECT u.id::text AS id, u.email::text AS email, u.name::text AS name, concat(u.role) AS role, %MASTER% AS is_master,
       to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
       dense_rank() OVER (ORDER BY u.created_at) AS rank,
       %MUST_CHANGE% AS must_change_password, %BANNED% AS banned, %TWO_FACTOR% AS two_factor,
       %CREDENTIALS% AS credentials, %SESSIONS% AS sessions, %EXPIRED% AS expired
  FROM public."user" u
 WHERE
