-- Runs of the job that ended in the middle get their end: what they did stands in their rows.
WITH ended AS (
    UPDATE markenmate.cleanup c SET finished_at = c.last_at, outcome = 'ended'
     WHERE c.job = %JOB% AND c.finished_at IS NULL
    RETURNING c.*
)
SELECT cleanup_id, deleted, archived, first_id, last_id, checksum, run_id,
       to_char(cut_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off
  FROM ended WHERE deleted > 0 ORDER BY cleanup_id;
WITH empty AS (
    -- One row for all runs that found nothing, one after the other.
    UPDATE markenmate.cleanup c
       SET run_id = %RUN%, cut_off = %CUT_OFF%, began_at = now(), last_at = now(), finished_at = NULL, outcome = NULL
     WHERE c.cleanup_id = (SELECT max(l.cleanup_id) FROM markenmate.cleanup l WHERE l.job = %JOB%)
       AND c.deleted = 0 AND c.finished_at IS NOT NULL
    RETURNING c.cleanup_id
), new AS (
    INSERT INTO markenmate.cleanup (job, run_id, cut_off)
    SELECT %JOB%, %RUN%, %CUT_OFF% WHERE NOT EXISTS (SELECT FROM empty)
    RETURNING cleanup_id
)
SELECT cleanup_id, %LAST_ARCHIVED% AS archived_before FROM (TABLE empty UNION ALL TABLE new) x
