-- Code of others that would run with our rights when we write these tables, or rows that go with theirs: SET
-- ROLE is no boundary, as such code can say RESET ROLE; only within SECURITY DEFINER it cannot. Nothing where
-- we are the owner: then it is our own. The locks keep new triggers and rules away until we are done.
DO $$
DECLARE
    owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"'));
    touched regclass[] := array_remove(ARRAY[to_regclass('public."user"'), to_regclass('public.session'),
        to_regclass('public.account'), to_regclass('public.audit_log'), to_regclass('public.step_up_token'),
        to_regclass('public.token_lending')], NULL);
    relation regclass;
    stranger text;
BEGIN
    IF owner IS NULL OR owner = session_user THEN
        RETURN;
    END IF;
    touched := touched || ARRAY(SELECT DISTINCT k.conrelid::regclass FROM pg_constraint k
                                 WHERE k.contype = 'f' AND k.confrelid = to_regclass('public."user"')
                                   AND k.conrelid <> ALL (touched::oid[]));
    FOREACH relation IN ARRAY touched LOOP
        IF has_table_privilege(relation::oid, 'UPDATE') THEN
            EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', relation);
        END IF;
    END LOOP;
    WITH o AS (SELECT c.oid, c.oid::regclass::text AS name FROM pg_class c WHERE c.oid = ANY (touched::oid[]))
    SELECT min(what) INTO stranger FROM (
        SELECT format('trigger %I on %s', t.tgname, o.name) AS what
          FROM o JOIN pg_trigger t ON t.tgrelid = o.oid JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE NOT t.tgisinternal
           AND NOT (p.pronamespace = to_regnamespace('markenmate') AND p.prosecdef
                    AND pg_get_userbyid(p.proowner) IN (owner, session_user))
        UNION ALL
        SELECT format('rule %I on %s', r.rulename, o.name) FROM o JOIN pg_rewrite r ON r.ev_class = o.oid
        UNION ALL
        SELECT format('constraint %I on %s', k.conname, o.name)
          FROM o JOIN pg_constraint k ON k.conrelid = o.oid
         WHERE k.contype IN ('c', 'x')
           AND EXISTS (SELECT FROM regexp_matches(k.conbin::text, ':(?:func|opfunc)(?:id) (\d+)', 'g') called
                        WHERE called[1]::oid >= 16384)
        UNION ALL
        SELECT format('index %I on %s', x.relname, o.name)
          FROM o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class x ON x.oid = i.indexrelid
         WHERE x.relam >= 16384 OR EXISTS (SELECT FROM unnest(i.indclass::oid[]) class WHERE class >= 16384)
            OR EXISTS (SELECT FROM regexp_matches(concat(i.indexprs::text, i.indpred::text), ':(?:func|opfunc)(?:id) (\d+)', 'g') called
                        WHERE called[1]::oid >= 16384)
        UNION ALL
        SELECT format('column %s.%I', o.name, a.attname)
          FROM o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
         WHERE t.oid >= 16384 AND (t.typtype <> 'e' OR EXISTS (SELECT FROM pg_cast c WHERE c.castsource = t.oid))
            OR EXISTS (SELECT FROM regexp_matches(d.adbin::text, ':(?:func|opfunc)(?:id) (\d+)', 'g') called
                        WHERE called[1]::oid >= 16384)
    ) seen;
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'MM190',
            MESSAGE = format('%s is not the application''s: its code would run with your rights', stranger),
            HINT = format('connect as %I, who owns the tables, or drop it', owner);
    END IF;
END
$$
