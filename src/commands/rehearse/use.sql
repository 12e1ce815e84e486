-- As the new application does: the columns and tables that the versions brought are in use, so that the way back
-- has something to keep. An UPDATE of no row would be a late one to the guards: none is run.
DO $$
BEGIN
    IF EXISTS (SELECT FROM public.token_lending WHERE id % 10 = 0) THEN
        UPDATE public.token_lending SET version = version + 1 + id % 3 WHERE id % 10 = 0;
    END IF;
    UPDATE public.app_log SET correlation_id = 'rehearsal-' || id WHERE id % 10 = 0 AND correlation_id IS NULL;
    INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, correlation_id)
    SELECT u.id, 'REHEARSAL', u.id, '{"n":' || n || '}', gen_random_uuid()::text
      FROM (SELECT id FROM public."user" ORDER BY id LIMIT 1000) u, generate_series(1, 3) n;
    INSERT INTO public.step_up_token (token, user_id, expires_at, used)
    SELECT replace(gen_random_uuid()::text, '-', '') || '00000000000', u.id, now() + interval '10 minutes', false
      FROM (SELECT id FROM public."user" ORDER BY id LIMIT 1000) u;
END
$$;
SELECT (SELECT count(*) FROM public.token_lending WHERE version <> 1)::text AS versions,
       (SELECT count(*) FROM public.app_log WHERE correlation_id IS NOT NULL)::text AS correlation_ids,
       (SELECT count(*) FROM public.audit_log)::text AS audit_rows,
       (SELECT count(*) FROM public.step_up_token)::text AS tokens
