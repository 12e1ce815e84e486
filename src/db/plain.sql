-- Our tables hold rows and nothing else. What runs when they are read or written runs with the rights
-- of whoever does so: code that the owner of schema markenmate, or who was granted too much, put into a
-- trigger, an index or a default would run as, say, a superuser. SET ROLE is no protection: such code
-- can say RESET ROLE. Dependencies do not tell it all: PostgreSQL's own functions run SQL as well.
DO $$
DECLARE
    ours constant text[] := ARRAY['refinery_schema_history', 'refinery_own_history', 'run', 'audit_log_archive', 'ledger', 'gate'];
    harmless constant text[] := ARRAY['now', 'current_setting', 'nextval', 'pg_current_xact_id', 'inet_client_addr',
                                      'session_user', 'texteq', 'text', 'clock_timestamp'];
    relation text;
    stranger text;
BEGIN
    -- All of it is ours, and nobody was granted a thing: what could be there is our own.
    IF current_user = session_user AND NOT EXISTS (
           SELECT FROM pg_class
            WHERE relnamespace = to_regnamespace('markenmate') AND relname = ANY (ours)
              AND (pg_get_userbyid(relowner) <> current_user OR relacl IS NOT NULL OR relkind <> 'r' OR relhastriggers)) THEN
        RETURN;
    END IF;
    -- Until the transaction ends nothing is added to what is looked at here, as far as we may lock it.
    FOREACH relation IN ARRAY ours LOOP
        IF has_table_privilege(to_regclass('markenmate.' || relation)::oid, 'INSERT') THEN
            EXECUTE format('LOCK TABLE markenmate.%I IN ROW EXCLUSIVE MODE', relation);
        ELSIF has_table_privilege(to_regclass('markenmate.' || relation)::oid, 'SELECT') THEN
            EXECUTE format('LOCK TABLE markenmate.%I IN ACCESS SHARE MODE', relation);
        END IF;
    END LOOP;
    WITH o AS (
        SELECT c.oid, format('%I', c.relname) AS name, c.relkind, c.relispartition, c.relam
          FROM pg_class c
         WHERE c.relnamespace = to_regnamespace('markenmate') AND c.relname = ANY (ours)
    )
    SELECT min(what) INTO stranger FROM (
        SELECT o.name || ' is no plain table' AS what FROM o WHERE relkind <> 'r' OR relispartition OR relam >= 16384
        UNION ALL
        SELECT o.name || ' inherits or is inherited' FROM o JOIN pg_inherits i ON o.oid IN (i.inhparent, i.inhrelid)
        UNION ALL
        SELECT format('trigger %I on %s', t.tgname, o.name)
          FROM o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
        UNION ALL
        SELECT format('rule %I on %s', r.rulename, o.name)
          FROM o JOIN pg_rewrite r ON r.ev_class = o.oid WHERE o.relkind = 'r'
        UNION ALL
        SELECT format('statistics %I on an expression over %s', s.stxname, o.name)
          FROM o JOIN pg_statistic_ext s ON s.stxrelid = o.oid WHERE to_jsonb(s) ->> 'stxexprs' IS NOT NULL
        UNION ALL
        SELECT format('constraint %I on %s', k.conname, o.name)
          FROM o JOIN pg_constraint k ON k.conrelid = o.oid WHERE k.contype NOT IN ('p', 'u', 'n')
        UNION ALL
        SELECT format('index %I on %s', x.relname, o.name)
          FROM o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class x ON x.oid = i.indexrelid
         WHERE i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR x.relam >= 16384
            OR EXISTS (SELECT FROM unnest(i.indclass::oid[]) class WHERE class >= 16384)
        UNION ALL
        SELECT format('column %s.%I', o.name, a.attname)
          FROM o
          JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
         WHERE o.relkind = 'r'
           AND (t.oid >= 16384 OR t.typtype <> 'b' OR a.attgenerated <> ''
                -- The functions that its default calls, and those behind its operators.
                OR EXISTS (SELECT FROM regexp_matches(d.adbin::text, ':(?:func|opfunc|op)(?:id|no) (\d+)', 'g') called
                            WHERE called[1]::oid >= 16384)
                OR EXISTS (SELECT FROM regexp_matches(d.adbin::text, ':(?:func|opfunc)id (\d+)', 'g') called
                             LEFT JOIN pg_proc p ON p.oid = called[1]::oid
                            WHERE p.proname IS NULL OR p.proname <> ALL (harmless)))
    ) seen;
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'schema markenmate holds more than rows: %', stranger USING ERRCODE = 'MM001';
    END IF;
END
$$
