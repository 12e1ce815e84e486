-- One batch: rows of these blocks whose time is over are deleted.
DO $batch$
DECLARE
    done record;
    matched bigint;
BEGIN
    %MATCHED%
    WITH gone AS (
        DELETE FROM ONLY %TABLE% t WHERE %ROWS% RETURNING t.id
    )
    SELECT count(*) AS deleted, min(id) AS first, max(id) AS last INTO done FROM gone;
    IF done.deleted > 0 THEN
        UPDATE markenmate.cleanup
           SET deleted = deleted + done.deleted, first_id = least(first_id, done.first), last_id = greatest(last_id, done.last),
               last_at = clock_timestamp()
         WHERE cleanup_id = %CLEANUP%;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the run''s row is gone from markenmate.cleanup' USING ERRCODE = 'MM192';
        END IF;
    END IF;
    PERFORM set_config('markenmate.batch', concat_ws(' ', done.deleted, 0, greatest(matched - done.deleted, 0)), true);
END
$batch$;
SELECT current_setting('markenmate.batch') AS batch
