-- The archive that was made by following the guide, all of it in one transaction: each of its rows is afterwards in ours,
-- once, and nowhere else.
DO $take_over$
DECLARE
    gone bigint;
    live record;
    copied record;
BEGIN
    -- Whoever is putting rows into it, or taking its rows out of the log, is waited for.
    LOCK TABLE ONLY public.audit_log_archive IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY public.audit_log IN ROW EXCLUSIVE MODE;
    %SHAPE%
    %LIVE_SHAPE%
    SELECT count(*) INTO gone FROM ONLY public.audit_log_archive;
    -- What stands in the log as well was copied, and not deleted there: it moves now. To leave it and forget the copy would
    -- lose it to whoever is about to go on with the guide's DELETE.
    WITH moved AS (
        DELETE FROM ONLY public.audit_log t USING ONLY public.audit_log_archive g
         WHERE %SAME_AS_LIVE%
        -- With what only the copy says: without it, the copy would be another row.
        RETURNING %LIVE_VALUES%%EXTRA_VALUES%
    ), kept AS (
        INSERT INTO markenmate.audit_log_archive (%LIVE_COLUMNS%%EXTRA_COLUMNS%, cleanup_id)
        SELECT %LIVE_COLUMNS%%EXTRA_COLUMNS%, %CLEANUP% FROM moved
        RETURNING archive_id
    )
    SELECT (SELECT count(*) FROM moved) AS moved, (SELECT count(*) FROM kept) AS kept INTO live;
    -- One of each, unless it is kept already: as it was just moved, or when its user was deleted. Whom a row was about may
    -- have been deleted since.
    WITH due AS (
        SELECT DISTINCT ON (%SAME_COLUMNS%) %VALUES%
          FROM ONLY public.audit_log_archive t
         WHERE NOT EXISTS (SELECT FROM markenmate.audit_log_archive g WHERE %SAME_AS_KEPT%)
         ORDER BY %SAME_COLUMNS%%FULLEST%
    ), kept AS (
        INSERT INTO markenmate.audit_log_archive (%COLUMNS%, cleanup_id) SELECT %COLUMNS%, %CLEANUP% FROM due
        RETURNING archive_id
    )
    SELECT (SELECT count(*) FROM due) AS moved, (SELECT count(*) FROM kept) AS kept INTO copied;
    IF live.moved <> live.kept OR copied.moved <> copied.kept THEN
        RAISE EXCEPTION USING ERRCODE = 'MM192',
            MESSAGE = format('%s rows were to be kept, and the archive has %s: something changes rows on their way',
                             live.moved + copied.moved, live.kept + copied.kept),
            HINT = 'look for triggers and rules on both tables: \d+ in psql';
    END IF;
    DROP TABLE public.audit_log_archive;
    INSERT INTO markenmate.cleanup_batch (cleanup_id, deleted, archived)
    SELECT c.cleanup_id, gone, live.kept + copied.kept
      FROM markenmate.cleanup c WHERE c.cleanup_id = %CLEANUP% AND c.finished_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'by markenmate.cleanup, this run has ended' USING ERRCODE = 'MM192';
    END IF;
    PERFORM set_config('markenmate.batch', concat_ws(' ', gone, live.kept + copied.kept), true);
END
$take_over$;
SELECT current_setting('markenmate.batch') AS batch
