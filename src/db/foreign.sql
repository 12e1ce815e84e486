-- Code of others that would run with our rights when we write these tables, or rows that go with theirs: SET
-- ROLE is no boundary, as such code can say RESET ROLE; only within SECURITY DEFINER it cannot, and even there
-- it could change in our transaction what we are to call next. Nothing where the tables are ours: then it is
-- our own. The locks keep new triggers, rules and keys away until we are done.
DO $$
DECLARE
    owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"'));
    all_powerful constant boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = session_user);
    written oid[];
    beside oid[];
    relation regclass;
    found text;
    is_guard boolean;
BEGIN
    FOR look IN %FIRST_LOOK%..2 LOOP
        -- What is written, what is deleted along, and children.
        written := ARRAY(
            WITH RECURSIVE named(oid, deleted) AS (
                SELECT c.oid, c.relname IN (%DELETED%) OR n.nspname = 'markenmate_quarantine'
                  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'public' AND c.relname IN (%WRITTEN%)
                    -- By the guards.
                    OR %KEPT% AND n.nspname = 'markenmate_quarantine' AND c.relkind IN ('r', 'p')
                    OR n.nspname = 'markenmate' AND c.relname IN ('turn', 'gate', 'audit_log_archive')
            ), reached(oid, deleted) AS (
                SELECT oid, deleted FROM named
                 UNION
                SELECT further.oid, further.deleted FROM reached r CROSS JOIN LATERAL (
                       SELECT k.conrelid, true FROM pg_constraint k
                        WHERE r.deleted AND k.contype = 'f' AND k.confrelid = r.oid AND k.confdeltype IN ('c', 'n', 'd')
                        UNION ALL
                       SELECT i.inhrelid, r.deleted FROM pg_inherits i WHERE i.inhparent = r.oid) further(oid, deleted)
            )
            SELECT DISTINCT r.oid FROM reached r ORDER BY 1);
        -- What is looked into for a key, on either side.
        beside := ARRAY(SELECT DISTINCT k.other FROM (
                            SELECT conrelid AS one, confrelid AS other FROM pg_constraint WHERE contype = 'f'
                             UNION ALL SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f') k
                         WHERE k.one = ANY (written) AND k.other <> ALL (written) ORDER BY 1);
        IF NOT EXISTS (SELECT FROM pg_class c
                        WHERE c.oid = ANY (written || beside) AND pg_get_userbyid(c.relowner) <> session_user) THEN
            RETURN;
        END IF;
        EXIT WHEN look = 2;
        FOREACH relation IN ARRAY written || beside LOOP
            IF has_table_privilege(relation::oid, 'UPDATE, DELETE, TRUNCATE') THEN
                EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', relation);
            ELSIF all_powerful AND relation = ANY (written) THEN
                RAISE EXCEPTION USING ERRCODE = 'MM190',
                    MESSAGE = format('%s cannot be locked by %I, who owns it: its code would run with your rights', relation, current_user),
                    HINT = format('connect as %I', owner);
            END IF;
        END LOOP;
    END LOOP;
    WITH %STRANGERS%
    SELECT s.what, s.what ~ '^(trigger markenmate_|function markenmate\.)' INTO found, is_guard FROM (
        SELECT what FROM stranger
        UNION ALL
        -- One calls another, and we call one ourselves.
        SELECT format('function %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
         WHERE p.pronamespace = to_regnamespace('markenmate') AND p.proname IN (%GUARDS%)
           AND NOT (pg_get_userbyid(p.proowner) IN (owner, session_user)
                    AND (p.oid::regprocedure::text, %FUNCTION_CODE%) IN (%CODES%))) s
     ORDER BY 1 LIMIT 1;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'MM190',
            MESSAGE = format('%s is not the application''s: its code would run with your rights', found),
            HINT = CASE WHEN is_guard
                        THEN format('markenmate verify says what became of it; or connect as %I, who owns the tables', owner)
                        ELSE format('connect as %I, who owns the tables, or drop it', owner) END;
    END IF;
END
$$
