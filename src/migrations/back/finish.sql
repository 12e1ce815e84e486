-- Whatever could return has returned. What could not stays where it is kept.
DO $$
DECLARE
    remains bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
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
    PERFORM set_config('markenmate.batch', remains::text, true);
END
$$;
SELECT s.returned::text AS returned, s.renumbered::text AS renumbered, current_setting('markenmate.batch') AS left
  FROM markenmate.set_aside s WHERE s.name = %NAME%;
