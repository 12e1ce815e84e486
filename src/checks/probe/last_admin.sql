-- keep
SELECT FROM public."user" u WHERE u.role = 'admin' ORDER BY u.id FOR NO KEY UPDATE
-- gate
SELECT markenmate.open_gate('markenmate verify --probe'::text)
-- keep
UPDATE public."user" SET role = 'admin' WHERE id = %A%
-- keep
UPDATE public."user" SET role = 'user' WHERE role = 'admin' AND id <> %A%
-- gate
SELECT markenmate.close_gate()
-- try MM102 | Cannot remove the last admin | demoting the last admin
UPDATE public."user" SET role = 'user' WHERE id = %A%
-- unless SELECT EXISTS (SELECT FROM public."user" u WHERE u.role = 'admin' AND u.id <> %A%)
-- try MM102 | Cannot remove the last admin | deleting the last admin
-- only SELECT coalesce(sum(pg_relation_size(k.conrelid)), 0) < %SIZE% FROM pg_constraint k WHERE %SEARCHED%
DELETE FROM public."user" WHERE id = %A%
-- unless SELECT EXISTS (SELECT FROM public."user" u WHERE u.role = 'admin' AND u.id <> %A%)
-- see | deleting the last admin
-- only SELECT coalesce(sum(pg_relation_size(k.conrelid)), 0) >= %SIZE% FROM pg_constraint k WHERE %SEARCHED%
SELECT FROM pg_trigger t
  JOIN pg_trigger tried ON tried.tgrelid = t.tgrelid AND tried.tgname = 'markenmate_last_admin_updated'
                       AND tried.tgfoid = t.tgfoid
 WHERE t.tgrelid = to_regclass('public."user"') AND t.tgname = 'markenmate_last_admin_deleted'
   AND t.tgenabled IN ('O', 'A')
