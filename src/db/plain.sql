-- Our tables hold rows and nothing else. What runs when they are read or written runs with the rights
-- of whoever does so: code that the owner of schema markenmate, or who was granted too much, put into a
-- trigger, an index or a default would run as, say, a superuser. SET ROLE is no protection: such code
-- can say RESET ROLE. Dependencies do not tell it all: PostgreSQL's own functions run SQL as well.
DO $$
DECLARE
    ours constant text[] := ARRAY['refinery_schema_history', 'refinery_own_history', 'run', 'audit_log_archive', 'ledger', 'gate',
                                  'turn', 'set_aside', 'app_log_archive', 'cleanup', 'cleanup_batch', 'export'];
    relation text;
    found text;
BEGIN
    -- All of it is ours, and nobody was granted a thing: what could be there is our own.
    IF current_user = session_user AND NOT EXISTS (
           SELECT FROM pg_class
            WHERE relnamespace = to_regnamespace('markenmate') AND relname = ANY (ours)
              AND (pg_get_userbyid(relowner) <> current_user OR relacl IS NOT NULL OR relkind <> 'r'
                   OR relhastriggers AND EXISTS (SELECT FROM pg_trigger t
                                                  WHERE t.tgrelid = pg_class.oid
                                                    AND t.tgfoid IS DISTINCT FROM to_regprocedure('markenmate.guard_archive()')))) THEN
        RETURN;
    END IF;
    -- Until the transaction ends nothing is added to what is looked at here, as far as we may lock it. A table is
    -- locked at once as it will be: of two runs that first share a lock neither gets the stronger one.
    FOREACH relation IN ARRAY ours LOOP
        IF has_table_privilege(to_regclass('markenmate.' || relation)::oid, 'INSERT') THEN
            EXECUTE format('LOCK TABLE markenmate.%I IN ROW EXCLUSIVE MODE', relation);
        ELSIF has_table_privilege(to_regclass('markenmate.' || relation)::oid, 'SELECT') THEN
            EXECUTE format('LOCK TABLE markenmate.%I IN ACCESS SHARE MODE', relation);
        END IF;
    END LOOP;
    WITH %STRANGERS%
    SELECT min(what) INTO found FROM (
        SELECT replace(what, 'markenmate.', '') AS what FROM stranger
        UNION ALL
        SELECT format('%I is no plain table', c.relname) FROM o JOIN pg_class c ON c.oid = o.oid
         WHERE c.relkind <> 'r' OR c.relispartition OR c.relam >= 16384
        UNION ALL
        SELECT format('%I inherits or is inherited', c.relname)
          FROM o JOIN pg_class c ON c.oid = o.oid JOIN pg_inherits i ON o.oid IN (i.inhparent, i.inhrelid)
        UNION ALL
        SELECT format('constraint %I on %I', k.conname, c.relname)
          FROM o JOIN pg_class c ON c.oid = o.oid JOIN pg_constraint k ON k.conrelid = o.oid WHERE k.contype IN ('f', 'x')
    ) seen;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'schema markenmate holds more than rows: %', found USING ERRCODE = 'MM001';
    END IF;
END
$$
