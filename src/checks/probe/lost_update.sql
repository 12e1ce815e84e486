-- keep
INSERT INTO public.token_lending (id, user_id, person_name, token_count, version)
VALUES (%N%, %A%, 'markenmate verify --probe', 1, 1)
-- let | the first of two updates of one version of a lending
UPDATE public.token_lending SET token_count = 10, version = version + 1 WHERE id = %N% AND version = 1
-- try 40001 | Lending was modified by another user | the second of two updates of one version of a lending
UPDATE public.token_lending SET token_count = 20, version = version + 1 WHERE id = %N% AND version = 1
-- try MM104 || a lending's version that decreases
UPDATE public.token_lending SET version = 1 WHERE id = %N%
-- try MM104 || a lending's token_count that changes without its version
UPDATE public.token_lending SET token_count = 30 WHERE id = %N%
