-- Who asks, and about whom: $1 is the session's token.
SELECT s.user_id AS asking,
       coalesce((SELECT u.role = 'admin' FROM public."user" u WHERE u.id = s.user_id), false) AS asking_is_admin,
       (SELECT count(*) FROM public."user" u WHERE u.role = 'admin') AS admins,
       (SELECT min(u.id) FROM public."user" u WHERE u.role = 'admin') AS an_admin,
       (SELECT min(u.id) FROM public."user" u
         WHERE u.role = 'admin' AND (to_jsonb(u) ->> 'is_master_admin')::boolean) AS master
  FROM (SELECT 1) one
  LEFT JOIN public.session s ON s.token = $1 AND s.expires_at > now()
