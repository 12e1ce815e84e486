-- Whatever could return has returned. What could not stays where it is kept; audit rows of users who are gone go where
-- they would be had their user been deleted under the guards.
DO $outer$
DECLARE
    archived bigint := 0;
    forgotten bigint := 0;
    remains bigint;
    why text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
    %ARCHIVE%
    %WHY%
    SELECT count(*) INTO remains FROM ONLY markenmate_quarantine.%KEPT%;
    IF remains = 0 THEN
        BEGIN
            DROP TABLE markenmate_quarantine.%KEPT%;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            NULL; -- Empty, and somebody else's thing hangs on it: cleanup says so.
        END;
    END IF;
    UPDATE markenmate.set_aside
       SET state = CASE WHEN remains = 0 THEN 'returned' ELSE 'left' END, finished_at = now() WHERE name = %NAME%;
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('markenmate_quarantine') AND relname = %FORGOTTEN_NAME%) THEN
        EXECUTE %COUNT_FORGOTTEN% INTO forgotten;
        IF forgotten = 0 THEN
            EXECUTE format('DROP TABLE markenmate_quarantine.%I', %FORGOTTEN_NAME%);
        ELSE
            INSERT INTO markenmate.set_aside (name, version, of_table, of_column, run_id, state, finished_at)
            SELECT %FORGOTTEN_NAME%, s.version, s.of_table, 'target_user_id', s.run_id, 'left', now()
              FROM markenmate.set_aside s WHERE s.name = %NAME%
            ON CONFLICT (name) DO NOTHING;
        END IF;
    END IF;
    PERFORM set_config('markenmate.batch', json_build_object('left', remains, 'archived', archived, 'forgotten', forgotten,
                                                             'why', why)::text, true);
END
$outer$;
SELECT s.returned::text AS returned, s.renumbered::text AS renumbered, b ->> 'left' AS left, b ->> 'archived' AS archived,
       b ->> 'forgotten' AS forgotten, b ->> 'why' AS why
  FROM markenmate.set_aside s CROSS JOIN (SELECT current_setting('markenmate.batch')::json AS b) x WHERE s.name = %NAME%;
