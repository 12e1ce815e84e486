SELECT to_regclass('public.audit_log') IS NOT NULL
   AND to_regclass('public.step_up_token') IS NOT NULL
   AND (SELECT count(*) = 3 FROM pg_attribute WHERE NOT attisdropped AND (attrelid, attname) IN ((to_regclass('public.app_log'), 'correlation_id'), (to_regclass('public.token_lending'), 'version'), (to_regclass('public."user"'), 'is_master_admin')))
   AND (SELECT count(*) = 15 FROM pg_trigger WHERE tgrelid IN (to_regclass('public.audit_log'), to_regclass('public.step_up_token'), to_regclass('public.token_lending'), to_regclass('public."user"')) AND starts_with(tgname, 'markenmate_') AND tgenabled IN ('O', 'A') AND starts_with(tgfoid::regproc::text, 'markenmate.'))
   AND (SELECT count(*) = 12 FROM pg_class WHERE relnamespace = to_regnamespace('markenmate') AND relname IN ('run', 'audit_log_archive', 'ledger', 'gate', 'turn', 'lending_conflicts', 'step_up_conflicts', 'set_aside', 'app_log_archive', 'cleanup', 'cleanup_batch', 'export'));
