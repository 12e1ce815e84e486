-- keep
SELECT FROM public."user" u WHERE u.role = 'admin' ORDER BY u.id FOR NO KEY UPDATE
-- gate
SELECT markenmate.open_gate('markenmate verify --probe')
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
DELETE FROM public."user" WHERE id = %A%
-- unless SELECT EXISTS (SELECT FROM public."user" u WHERE u.role = 'admin' AND u.id <> %A%)
