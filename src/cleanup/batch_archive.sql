-- One batch: rows of these blocks whose time is over, into the archive and out of the table, all of them or none. The
-- statements see one moment (REPEATABLE READ) or rows that are locked: what leaves is what was copied.
DO $batch$
DECLARE
    matched bigint;
    free tid[];
    copied bigint;
    gone bigint;
BEGIN
    %SHAPE%
    %LOCK%
    INSERT INTO markenmate.%ARCHIVE% (%COLUMNS%, cleanup_id)
    SELECT %VALUES%, %CLEANUP% FROM ONLY %TABLE% t WHERE %ROWS%;
    GET DIAGNOSTICS copied = ROW_COUNT;
    DELETE FROM ONLY %TABLE% t WHERE %ROWS%;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone <> copied THEN
        RAISE EXCEPTION USING ERRCODE = 'MM192',
            MESSAGE = format('of %s rows of %s that were copied, %s would have left: something changes rows on their way', copied, %TOLD%, gone),
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
