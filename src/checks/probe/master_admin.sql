-- gate
SELECT markenmate.open_gate('markenmate verify --probe'::text)
-- keep
UPDATE public."user" SET role = 'admin', is_master_admin = id = %A% WHERE id IN (%A%, %B%)
-- gate
SELECT markenmate.close_gate()
-- try MM101 | Cannot demote the master admin | demoting the master admin
UPDATE public."user" SET role = 'user' WHERE id = %A%
-- try MM101 | Cannot demote the master admin | deleting the master admin
DELETE FROM public."user" WHERE id = %A%
-- try MM101 MM103 || taking the master admin's flag away
UPDATE public."user" SET is_master_admin = false WHERE id = %A%
-- try MM103 || a second master admin
UPDATE public."user" SET is_master_admin = true WHERE id = %B%
