-- Code of others that would run with our rights when we write these tables, or rows that go with theirs: SET
-- ROLE is no boundary, as such code can say RESET ROLE; only within SECURITY DEFINER it cannot, and even there
-- it could change in our transaction what we are to call next. Nothing where the tables are ours: then it is
-- our own. The locks keep new triggers, rules and keys away until we are done.
DO $$
DECLARE
    owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"'));
    touched oid[];
    relation regclass;
    found text;
    is_guard boolean;
BEGIN
    FOR look IN 1..2 LOOP
        -- With what is deleted along, and children.
        touched := ARRAY(
            WITH RECURSIVE reached(oid) AS (
                SELECT to_regclass('public.' || v.name)::oid
                  FROM (VALUES ('"user"'), ('session'), ('account'), ('audit_log'), ('step_up_token'), ('token_lending')) v(name)
                 UNION
                SELECT further.oid FROM reached r CROSS JOIN LATERAL (
                       SELECT k.conrelid FROM pg_constraint k
                        WHERE k.contype = 'f' AND k.confrelid = r.oid AND k.confdeltype IN ('c', 'n', 'd')
                        UNION ALL
                       SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = r.oid) further(oid)
            )
            SELECT r.oid FROM reached r WHERE r.oid IS NOT NULL ORDER BY 1);
        IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = ANY (touched) AND pg_get_userbyid(c.relowner) <> session_user) THEN
            RETURN;
        END IF;
        EXIT WHEN look = 2;
        FOREACH relation IN ARRAY touched LOOP
            IF has_table_privilege(relation::oid, 'UPDATE') THEN
                EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', relation);
            END IF;
        END LOOP;
    END LOOP;
    WITH %STRANGERS%
    SELECT s.what, s.what LIKE 'trigger markenmate\_%' INTO found, is_guard FROM stranger s ORDER BY 1 LIMIT 1;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'MM190',
            MESSAGE = format('%s is not the application''s: its code would run with your rights', found),
            HINT = CASE WHEN is_guard
                        THEN format('markenmate verify says what became of it; or connect as %I, who owns the tables', owner)
                        ELSE format('connect as %I, who owns the tables, or drop it', owner) END;
    END IF;
END
$$
