-- The last query of the guide's step 4.
SELECT id::text AS id, email::text AS email, role::text AS role, %MASTER% AS is_master_admin
  FROM public."user"
 WHERE role::text = 'admin'
 ORDER BY created_at, id
