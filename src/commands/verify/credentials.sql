-- Admins who log in with a password.
SELECT u.id, u.email, coalesce((to_jsonb(u) ->> 'must_change_password')::boolean, false)::text AS must_change, a.password
  FROM public."user" u
  JOIN public.account a ON a.user_id = u.id AND a.provider_id = 'credential' AND a.password IS NOT NULL
 WHERE concat(u.role) = 'admin'
 ORDER BY u.created_at, u.id
