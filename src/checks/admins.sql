-- The last query of the guide's step 4.
SELECT concat(id) AS id, concat(email) AS email, concat(role) AS role, %MASTER% AS is_master_admin
  FROM public."user"
 WHERE concat(role) = 'admin'
 ORDER BY created_at, id
