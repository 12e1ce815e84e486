-- One batch: rows of these blocks whose time is over, into the archive and out of the table, all of them or none. The
-- statements see one moment (REPEATABLE READ) or rows that are locked: what leaves is what was copied.
DO $batch$
DECLARE
    matched bigint;
    free tid[];
    twice tid[] := '{}';
    copied bigint;
    gone bigint;
BEGIN
    -- A column that was added since is in no plan, and would be lost. Parsed anew each time, this sees it, in a moment
    -- that was before as well; and from here on none is added.
    BEGIN
        PERFORM FROM (SELECT * FROM ONLY %TABLE% WHERE false UNION ALL SELECT %SHAPE%) shape;
    EXCEPTION WHEN syntax_error OR datatype_mismatch OR undefined_object THEN
        RAISE EXCEPTION USING ERRCODE = 'MM194', MESSAGE = format('%s got another shape meanwhile', %TOLD%), DETAIL = SQLERRM,
            HINT = 'run it again: it sees the columns as they are then';
    END;
    %LOCK%
    %TWICE%
    INSERT INTO markenmate.%ARCHIVE% (%COLUMNS%, cleanup_id)
    SELECT %VALUES%, %CLEANUP% FROM ONLY %TABLE% t WHERE %ROWS%%ONCE%;
    GET DIAGNOSTICS copied = ROW_COUNT;
    DELETE FROM ONLY %TABLE% t WHERE %ROWS%;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone - cardinality(twice) <> copied THEN
        RAISE EXCEPTION USING ERRCODE = 'MM192',
            MESSAGE = format('%s rows left %s, and the archive has %s: something changes rows on their way', gone, %TOLD%, copied),
            HINT = 'look for triggers and rules on both tables: \d+ in psql';
    END IF;
    IF gone > 0 THEN
        INSERT INTO markenmate.cleanup_batch (cleanup_id, deleted, archived)
        SELECT c.cleanup_id, gone, copied
          FROM markenmate.cleanup c WHERE c.cleanup_id = %CLEANUP% AND c.finished_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'by markenmate.cleanup, this run has ended' USING ERRCODE = 'MM192';
        END IF;
    END IF;
    PERFORM set_config('markenmate.batch', concat_ws(' ', gone, copied, greatest(matched - gone, 0)), true);
END
$batch$;
SELECT current_setting('markenmate.batch') AS batch
