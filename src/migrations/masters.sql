-- Whoever has the master admin's flag; for databases in which the column exists.
SELECT concat(u.email) AS email, concat(u.id) AS id, concat(u.role) AS role
  FROM public."user" u WHERE u.is_master_admin ORDER BY u.id COLLATE "C" LIMIT 10
