-- One batch: rows of these blocks whose time is over are deleted. The statements see one moment (REPEATABLE READ) or rows
-- that are locked.
DO $batch$
DECLARE
    matched bigint;
    free tid[];
    ids record;
    gone bigint;
BEGIN
    %LOCK%
    -- Counted as well: for an extreme alone the planner would walk an index from one end of the table.
    SELECT count(*) AS n, min(t.id) AS first, max(t.id) AS last INTO ids FROM ONLY %TABLE% t WHERE %ROWS%;
    DELETE FROM ONLY %TABLE% t WHERE %ROWS%;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        INSERT INTO markenmate.cleanup_batch (cleanup_id, deleted, archived, first_id, last_id)
        SELECT c.cleanup_id, gone, 0, ids.first, ids.last
          FROM markenmate.cleanup c WHERE c.cleanup_id = %CLEANUP% AND c.finished_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'by markenmate.cleanup, this run has ended' USING ERRCODE = 'MM192';
        END IF;
    END IF;
    PERFORM set_config('markenmate.batch', concat_ws(' ', gone, 0, greatest(matched - gone, 0)), true);
END
$batch$;
SELECT current_setting('markenmate.batch') AS batch
