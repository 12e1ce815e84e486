-- Takes security_hardening back without losing a row. Its tables move to markenmate_quarantine
-- under names that carry the time; the copy of what its columns hold (aside.sql) is brought up to date.
DO $outer$
BEGIN
    -- Nobody's function of the same name is called, whoever runs this; nobody waits long for it.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
    PERFORM set_config('lock_timeout', '50ms', true);
    PERFORM set_config('row_security', 'off', true);
    -- Everybody waits for what is done here: no code is compiled for it, and what is kept is found by its key.
    PERFORM set_config('jit', 'off', true);
    PERFORM set_config('enable_hashjoin', 'off', true);
    PERFORM set_config('enable_mergejoin', 'off', true);
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work; nothing was changed, try again';
    END IF;
DECLARE
    suffix constant text := nullif(current_setting('markenmate.suffix', true), '');
    -- Rows of this transaction and later ones may have changed since they were copied. Its age is the same all along,
    -- and not asked for with every row.
    since constant integer := age(nullif(current_setting('markenmate.copied_at', true), '')::xid8::xid);
    owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"'));
    run constant text := nullif(current_setting('markenmate.run_id', true), '');
    registered boolean;
    recorded boolean;
    tries integer := 0;
    missing text;
    moved text;
    readers text[];
    part record;
    kept bigint;
BEGIN
    IF suffix IS NULL OR since IS NULL THEN
        RAISE EXCEPTION 'nothing was copied beforehand; nothing was changed' USING HINT = 'markenmate util down 2 prints both parts';
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', owner);
    registered := to_regclass('markenmate.set_aside') IS NOT NULL;
    EXECUTE 'SELECT count(*) > 0 FROM markenmate.refinery_schema_history WHERE version > 2' INTO recorded;
    IF recorded THEN
        RAISE EXCEPTION 'a later version stands on this one; nothing was changed'
              USING HINT = 'take it back first: markenmate util down 3';
    END IF;

    -- All five or none: what was had is given back before the next try, so that the app waits for no
    -- more than a moment at a time.
    LOOP
        BEGIN
            LOCK TABLE public."user" IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE public.token_lending IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE public.app_log IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE public.step_up_token IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE public.audit_log IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            tries := tries + 1;
            missing := (SELECT string_agg(DISTINCT format('pid %s (%s as %s)', a.pid, a.application_name, a.usename), ', ')
                          FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                         WHERE l.granted AND l.pid <> pg_backend_pid()
                           AND l.relation IN ('public."user"'::regclass, 'public.token_lending'::regclass,
                                              'public.app_log'::regclass, 'public.step_up_token'::regclass,
                                              'public.audit_log'::regclass));
            IF tries >= 20 THEN
                RAISE EXCEPTION 'the locks were not to be had; nothing was changed' USING ERRCODE = 'lock_not_available',
                      HINT = format('held by %s; to end one: SELECT pg_terminate_backend(pid); then run the same again',
                                    coalesce(missing, 'somebody who may not be seen'));
            ELSIF tries = 1 THEN
                RAISE NOTICE 'waiting for %', coalesce(missing, 'a lock');
            END IF;
        END;
        PERFORM pg_sleep(0.25);
    END LOOP;

    -- Whoever could dump the whole database before can do so afterwards: seen while all of it is in public.
    readers := ARRAY(
        SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
          FROM pg_class c
         CROSS JOIN aclexplode(c.relacl) acl
          LEFT JOIN pg_roles r ON r.oid = acl.grantee
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND acl.privilege_type = 'SELECT' AND acl.grantee <> c.relowner
           AND NOT EXISTS (SELECT FROM pg_class t
                            WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
                              AND NOT has_table_privilege(acl.grantee, t.oid, 'SELECT')));
    FOR part IN
        SELECT * FROM (VALUES ('user', 'is_master_admin', 'c.is_master_admin'),
                              ('token_lending', 'version', 'c.version <> 1'),
                              ('app_log', 'correlation_id', 'c.correlation_id IS NOT NULL')
                      ) v(table_name, column_name, differs)
    LOOP
        moved := part.table_name || '_' || part.column_name || suffix;
        -- Of what may have changed, what has: an old transaction elsewhere makes all of it look new.
        EXECUTE format($$WITH recent AS MATERIALIZED (
                             SELECT c.id, c.%2$I, %4$s AS differs FROM public.%3$I c WHERE age(c.xmin) <= $1
                         ), changed AS MATERIALIZED (
                             SELECT c.* FROM recent c
                              WHERE CASE WHEN c.differs
                                         THEN (SELECT q.%2$I FROM markenmate_quarantine.%1$I q WHERE q.id = c.id) IS DISTINCT FROM c.%2$I
                                         ELSE (SELECT q.id FROM markenmate_quarantine.%1$I q WHERE q.id = c.id) IS NOT NULL END
                         ), same AS (
                             DELETE FROM markenmate_quarantine.%1$I q USING changed c WHERE q.id = c.id AND NOT c.differs
                         )
                         INSERT INTO markenmate_quarantine.%1$I AS q SELECT c.id, c.%2$I FROM changed c WHERE c.differs
                         ON CONFLICT (id) DO UPDATE SET %2$I = excluded.%2$I$$,
                       moved, part.column_name, part.table_name, part.differs) USING since;
        EXECUTE format('ALTER TABLE public.%I DROP COLUMN %I', part.table_name, part.column_name);
        EXECUTE format('SELECT count(*) FROM (SELECT FROM markenmate_quarantine.%I LIMIT 1) any_', moved) INTO kept;
        IF kept = 0 THEN
            -- Every row had the default: there is nothing to keep.
            EXECUTE format('DROP TABLE markenmate_quarantine.%I', moved);
            CONTINUE;
        END IF;
        IF registered THEN
            EXECUTE 'INSERT INTO markenmate.set_aside (name, version, of_table, of_column, run_id) VALUES ($1, 2, $2, $3, $4)'
              USING moved, part.table_name, part.column_name, run;
        END IF;
        IF run IS NULL THEN
            EXECUTE format('SELECT count(*) FROM markenmate_quarantine.%I', moved) INTO kept;
            RAISE NOTICE 'set aside: % values of public.%.% in markenmate_quarantine.%',
                  kept, quote_ident(part.table_name), part.column_name, quote_ident(moved);
        END IF;
    END LOOP;

    -- A key left in place would go on deleting rows there when a user is deleted; a name left in
    -- place would collide with the next table that is set aside.
    FOR part IN
        SELECT c.relname AS table_name, k.conname AS name, k.contype, CASE WHEN octet_length(k.conname || suffix) < 64 THEN k.conname::text ELSE left(k.conname::text, 8) || '_' || k.oid END AS short
          FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
         WHERE k.conrelid IN ('public.step_up_token'::regclass, 'public.audit_log'::regclass)
           AND k.contype IN ('f', 'p', 'u', 'c', 'x')
    LOOP
        EXECUTE format(CASE part.contype WHEN 'f' THEN 'ALTER TABLE public.%I DROP CONSTRAINT %I'
                                         ELSE 'ALTER TABLE public.%I RENAME CONSTRAINT %I TO %I' END,
                       part.table_name, part.name, part.short || suffix);
    END LOOP;
    FOR part IN
        SELECT x.relname AS name, 'INDEX' AS kind, CASE WHEN octet_length(x.relname || suffix) < 64 THEN x.relname::text ELSE left(x.relname::text, 8) || '_' || x.oid END AS short
          FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid IN ('public.step_up_token'::regclass, 'public.audit_log'::regclass)
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
         UNION ALL
        SELECT x.relname, 'SEQUENCE', CASE WHEN octet_length(x.relname || suffix) < 64 THEN x.relname::text ELSE left(x.relname::text, 8) || '_' || x.oid END
          FROM pg_depend d JOIN pg_class x ON x.oid = d.objid AND x.relkind = 'S'
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
           AND d.refobjid IN ('public.step_up_token'::regclass, 'public.audit_log'::regclass)
    LOOP
        EXECUTE format('ALTER %s public.%I RENAME TO %I', part.kind, part.name, part.short || suffix);
    END LOOP;
    FOREACH moved IN ARRAY ARRAY['step_up_token', 'audit_log'] LOOP
        EXECUTE format('ALTER TABLE public.%I SET SCHEMA markenmate_quarantine', moved);
        EXECUTE format('ALTER TABLE markenmate_quarantine.%I RENAME TO %I', moved, moved || suffix);
        IF registered THEN
            EXECUTE 'INSERT INTO markenmate.set_aside (name, version, of_table, run_id) VALUES ($1, 2, $2, $3)'
              USING moved || suffix, moved, run;
        END IF;
        IF run IS NULL THEN
            EXECUTE format('SELECT count(*) FROM markenmate_quarantine.%I', moved || suffix) INTO kept;
            RAISE NOTICE 'set aside: % rows of public.% as markenmate_quarantine.%', kept, moved, quote_ident(moved || suffix);
        END IF;
    END LOOP;

    FOREACH moved IN ARRAY readers LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA markenmate_quarantine TO %s', moved);
        FOR part IN
            SELECT c.oid::regclass AS relation, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind FROM pg_class c
             WHERE c.relnamespace = 'markenmate_quarantine'::regnamespace AND c.relkind IN ('r', 'S') AND right(c.relname, length(suffix)) = suffix
        LOOP
            EXECUTE format('GRANT SELECT ON %s %s TO %s', part.kind, part.relation, moved);
        END LOOP;
    END LOOP;

    DELETE FROM markenmate.refinery_schema_history WHERE version = 2;
    IF run IS NULL THEN
        INSERT INTO markenmate.run (run_id, command, tool_version, reason)
        VALUES (gen_random_uuid(), 'util down 2', 'SQL', 'taken back by its SQL; set aside under the names that end in ' || suffix);
    END IF;
END;
END
$outer$;
