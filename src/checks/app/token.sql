-- As the application makes them, 32 random bytes as base64url, but for a minute only: $1 is the user.
INSERT INTO public.step_up_token (token, user_id, expires_at)
VALUES (rtrim(translate(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
                                      || uuid_send(gen_random_uuid())), 'base64'), '+/', '-_'), '='),
        $1, now() + interval '1 minute')
RETURNING token
