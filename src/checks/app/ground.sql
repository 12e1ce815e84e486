-- Who asks, and about whom: $1 is the session's token. concat() runs no cast of a foreign type's owner.
SELECT s.user_id AS asking,
       coalesce((SELECT concat(u.role) = 'admin' FROM public."user" u WHERE u.id = s.user_id), false) AS asking_is_admin,
       (SELECT count(*) FROM public."user" u WHERE concat(u.role) = 'admin') AS admins,
       (SELECT min(u.id) FROM public."user" u WHERE concat(u.role) = 'admin') AS an_admin,
       (SELECT min(u.id) FROM public."user" u
         WHERE concat(u.role) = 'admin' AND concat(u.is_master_admin) = 't') AS master,
       EXISTS (SELECT FROM pg_db_role_setting r JOIN pg_database d ON d.datname = current_database()
                WHERE EXISTS (SELECT FROM unnest(r.setconfig) c WHERE lower(c) = 'session_replication_role=replica') AND r.setdatabase IN (0, d.oid)
                  AND (r.setrole = 0 OR has_table_privilege(r.setrole, 'public."user"', 'UPDATE'))) AS replays
  FROM (SELECT 1) one
  LEFT JOIN public.session s ON s.token = $1 AND s.expires_at > now()
