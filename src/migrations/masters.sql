-- Whoever has the master admin's flag, and the oldest admin, who may have it; for databases in which the
-- columns exist.
SELECT concat(u.email) AS email, concat(u.id) AS id, concat(u.role) AS role,
       (SELECT concat(a.id) FROM public."user" a WHERE concat(a.role) = 'admin'
         ORDER BY a.created_at, a.id COLLATE "C" LIMIT 1) AS oldest_admin
  FROM public."user" u WHERE u.is_master_admin
 -- As the check of `verify` has it: both name the same one to stay.
 ORDER BY concat(u.role) <> 'admin', u.created_at, u.id COLLATE "C" LIMIT 10;
-- Whether anybody could have it.
SELECT EXISTS (SELECT FROM public."user" a WHERE concat(a.role) = 'admin')
