-- Through what code in this database reaches beyond it, and the triggers that would be run by what is written. Ours
-- reach nowhere.
WITH means(what) AS (
    SELECT format('extension %I', e.extname) FROM pg_extension e
     WHERE e.extname IN ('dblink', 'http', 'pg_net', 'pg_background', 'aws_s3', 'aws_lambda', 'amqp', 'pg_amqp')
    UNION ALL
    SELECT format('foreign data wrapper %I', w.fdwname) FROM pg_foreign_data_wrapper w WHERE w.fdwname <> 'dblink_fdw'
    UNION ALL
    SELECT format('language %I', l.lanname) FROM pg_language l WHERE l.lanispl AND NOT l.lanpltrusted
    UNION ALL
    SELECT format('function %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
     WHERE l.lanname = 'c' AND p.oid >= 16384
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
),
run(what) AS (
    SELECT format('trigger %I on %s', t.tgname, c.oid::regclass)
      FROM pg_trigger t
      JOIN pg_class c ON c.oid = t.tgrelid AND c.relnamespace = to_regnamespace('public')
      JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace IS DISTINCT FROM to_regnamespace('markenmate')
     WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
       AND c.relname IN ('user', 'session', 'account', 'token_lending', 'app_log', 'audit_log', 'step_up_token')
    UNION ALL
    SELECT format('event trigger %I', e.evtname) FROM pg_event_trigger e WHERE e.evtenabled IN ('O', 'A')
)
SELECT (SELECT string_agg(what, ', ' ORDER BY what) FROM means) AS means,
       (SELECT string_agg(what, ', ' ORDER BY what) FROM run) AS run
