-- Admins who log in with a password. Only what is named is read: to_jsonb() would run the casts of any column.
SELECT u.id, u.email, %MUST_CHANGE% AS must_change, a.password
  FROM public."user" u
  JOIN public.account a ON a.user_id = u.id AND a.provider_id = 'credential' AND a.password IS NOT NULL
 WHERE concat(u.role) = 'admin'
 ORDER BY u.created_at, u.id
