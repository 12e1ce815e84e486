-- Takes guards back: triggers and functions. What they left behind (the gate's rows, the counters,
-- archived audit rows) stays. One block, so one transaction, whoever runs it.
DO $outer$
BEGIN
    -- Nobody's function of the same name is called, whoever runs this; nobody waits long for it.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
    PERFORM set_config('lock_timeout', '50ms', true);
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work; nothing was changed, try again';
    END IF;
DECLARE
    owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"'));
    guarded constant regclass[] := array_remove(ARRAY[to_regclass('public."user"'), to_regclass('public.token_lending'),
                                       to_regclass('public.step_up_token'), to_regclass('public.audit_log')], NULL);
    recorded boolean := false;
    tries integer := 0;
    holders text;
    part record;
    locked regclass;
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'there is no public."user": this is not the application''s database; nothing was changed';
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', owner);
    IF to_regclass('markenmate.refinery_schema_history') IS NOT NULL THEN
        EXECUTE 'SELECT count(*) > 0 FROM markenmate.refinery_schema_history WHERE version = 3' INTO recorded;
    END IF;
    IF NOT recorded THEN
        RAISE EXCEPTION 'version 3 is not recorded in this database; nothing was changed'
              USING HINT = 'to see where it stands: markenmate status';
    END IF;
    EXECUTE 'SELECT count(*) > 0 FROM markenmate.refinery_schema_history WHERE version > 3' INTO recorded;
    IF recorded THEN
        RAISE EXCEPTION 'a later version stands on this one; nothing was changed';
    END IF;
    holders := (SELECT string_agg(format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass), ' ')
                  FROM pg_trigger t
                  JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = to_regnamespace('markenmate')
                 WHERE NOT t.tgisinternal AND p.proname <> 'guard_archive'
                   AND NOT (t.tgrelid = ANY (guarded::oid[]) AND starts_with(t.tgname, 'markenmate_')));
    IF holders IS NOT NULL THEN
        RAISE EXCEPTION 'a trigger that is not ours calls a function of the guards; nothing was changed' USING HINT = holders;
    END IF;

    -- All or none: what was had is given back before the next try, so that the app waits for no more
    -- than a moment at a time.
    LOOP
        BEGIN
            FOREACH locked IN ARRAY guarded LOOP
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', locked);
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            tries := tries + 1;
            holders := (SELECT string_agg(DISTINCT format('pid %s (%s as %s)', a.pid, a.application_name, a.usename), ', ')
                          FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                         WHERE l.granted AND l.pid <> pg_backend_pid() AND l.relation = ANY (guarded::oid[]));
            IF tries >= 20 THEN
                RAISE EXCEPTION 'the locks were not to be had; nothing was changed' USING ERRCODE = 'lock_not_available',
                      HINT = format('held by %s; to end one: SELECT pg_terminate_backend(pid); then run the same again',
                                    coalesce(holders, 'somebody who may not be seen'));
            ELSIF tries = 1 THEN
                RAISE NOTICE 'waiting for %', coalesce(holders, 'a lock');
            END IF;
        END;
        PERFORM pg_sleep(0.25);
    END LOOP;

    FOR part IN
        SELECT t.tgname AS name, t.tgrelid::regclass AS relation
          FROM pg_trigger t
          JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = 'markenmate'::regnamespace
         WHERE t.tgrelid = ANY (guarded::oid[]) AND NOT t.tgisinternal AND starts_with(t.tgname, 'markenmate_')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', part.name, part.relation);
    END LOOP;
    DROP FUNCTION IF EXISTS markenmate.guard_admins(), markenmate.guard_last_admin(), markenmate.guard_truncate(),
        markenmate.guard_lending(), markenmate.guard_step_up(), markenmate.guard_conflict(), markenmate.end_late_update(oid, text, text, text),
        markenmate.note_purpose(),
        markenmate.keep_audit(), markenmate.count_conflict(regclass), markenmate.set_master_admin(text, boolean),
        markenmate.close_gate(), markenmate.open_gate(text), markenmate.is_open();

    DELETE FROM markenmate.refinery_schema_history WHERE version = 3;
    -- A run of the tool has its own row.
    INSERT INTO markenmate.run (run_id, command, tool_version, reason)
    SELECT gen_random_uuid(), 'util down 3', 'SQL', 'taken back by its SQL'
     WHERE coalesce(current_setting('markenmate.run_id', true), '') = '';
END;
END
$outer$;
