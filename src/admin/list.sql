-- The admins, and whoever has the master admin's flag.
SELECT u.id::text AS id, u.email::text AS email, u.name::text AS name, concat(u.role) AS role,
       (r.j ->> 'is_master_admin')::boolean::text AS is_master,
       to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
       %PASSWORD% AS has_password, %SESSIONS% AS sessions
  FROM public."user" u CROSS JOIN LATERAL (SELECT to_jsonb(u) AS j) r
 WHERE concat(u.role) = 'admin' OR (r.j ->> 'is_master_admin')::boolean
 ORDER BY u.created_at, u.id COLLATE "C"
