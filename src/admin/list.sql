-- The admins, and whoever has the master admin's flag.
SELECT u.id::text AS id, u.email::text AS email, u.name::text AS name, concat(u.role) AS role, (%MASTER%)::text AS is_master,
       to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
       %PASSWORD% AS has_password, %SESSIONS% AS sessions
  FROM public."user" u
 WHERE concat(u.role) = 'admin' OR %MASTER%
 ORDER BY u.created_at, u.id COLLATE "C"
