-- Runs of the job that ended in the middle get their end: what they did stands in their rows.
WITH ended AS (
    UPDATE markenmate.cleanup c SET finished_at = c.last_at, outcome = 'ended'
     WHERE c.job = %JOB% AND c.finished_at IS NULL
    RETURNING c.*
)
SELECT cleanup_id, deleted, archived, first_id, last_id, checksum, run_id,
       to_char(cut_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off
  FROM ended WHERE deleted > 0 ORDER BY cleanup_id;
-- Nothing to tell of.
DELETE FROM markenmate.cleanup c WHERE c.job = %JOB% AND c.outcome = 'ended' AND c.deleted = 0;
INSERT INTO markenmate.cleanup (job, run_id, cut_off) VALUES (%JOB%, %RUN%, %CUT_OFF%)
RETURNING cleanup_id, %LAST_ARCHIVED% AS archived_before
