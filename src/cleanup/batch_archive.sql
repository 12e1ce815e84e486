-- One batch: rows of these blocks whose time is over, out of the table and into the archive, all of them or none.
DO $batch$
DECLARE
    done record;
    matched bigint;
BEGIN
    %MATCHED%
    WITH gone AS (
        DELETE FROM ONLY %TABLE% t WHERE %ROWS% RETURNING %VALUES%
    ), kept AS (
        INSERT INTO markenmate.%ARCHIVE% AS a (%COLUMNS%, cleanup_id)
        SELECT %COLUMNS%, %CLEANUP% FROM gone g WHERE NOT (%DOUBLED%)
        RETURNING a.archive_id
    )
    SELECT g.*, k.* INTO done
      FROM (SELECT count(*) AS deleted, count(*) FILTER (WHERE %DOUBLED%) AS doubled, min(g.id) AS first, max(g.id) AS last
              FROM gone g) g,
           (SELECT count(*) AS archived FROM kept) k;
    IF done.deleted - done.doubled <> done.archived THEN
        RAISE EXCEPTION USING ERRCODE = 'MM192',
            MESSAGE = format('%s rows left %s, and the archive has %s: something changes rows on their way',
                             done.deleted, %TOLD%, done.archived),
            HINT = 'look for triggers and rules on both tables: \d+ in psql';
    END IF;
    IF done.deleted > 0 THEN
        UPDATE markenmate.cleanup
           SET deleted = deleted + done.deleted, archived = archived + done.archived,
               first_id = least(first_id, done.first), last_id = greatest(last_id, done.last), last_at = clock_timestamp()
         WHERE cleanup_id = %CLEANUP%;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the run''s row is gone from markenmate.cleanup' USING ERRCODE = 'MM192';
        END IF;
    END IF;
    PERFORM set_config('markenmate.batch', concat_ws(' ', done.deleted, done.archived, greatest(matched - done.deleted, 0)), true);
END
$batch$;
SELECT current_setting('markenmate.batch') AS batch
