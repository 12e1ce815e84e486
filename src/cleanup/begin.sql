-- Runs of the job that ended in the middle get their end. A batch of theirs that is not over yet is waited for: what is
-- read after that is all there will be.
SELECT FROM markenmate.cleanup c WHERE c.job = %JOB% AND c.finished_at IS NULL FOR UPDATE;
UPDATE markenmate.cleanup c
   SET finished_at = coalesce(b.at, c.last_at), last_at = coalesce(b.at, c.last_at), outcome = 'ended',
       deleted = coalesce(b.deleted, 0), archived = coalesce(b.archived, 0), first_id = b.first_id, last_id = b.last_id
  FROM markenmate.cleanup u
  LEFT JOIN (SELECT cleanup_id, max(at) AS at, sum(deleted)::bigint AS deleted, sum(archived)::bigint AS archived,
                    min(first_id) AS first_id, max(last_id) AS last_id
               FROM markenmate.cleanup_batch GROUP BY cleanup_id) b USING (cleanup_id)
 WHERE c.cleanup_id = u.cleanup_id AND u.job = %JOB% AND u.finished_at IS NULL;
WITH ended AS (
    DELETE FROM markenmate.cleanup_batch b USING markenmate.cleanup c
     WHERE c.cleanup_id = b.cleanup_id AND c.outcome = 'ended'
    RETURNING b.cleanup_id
)
SELECT c.cleanup_id, c.deleted, c.archived, c.first_id, c.last_id, c.checksum, c.run_id,
       to_char(c.cut_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off
  FROM markenmate.cleanup c WHERE c.cleanup_id IN (SELECT cleanup_id FROM ended) ORDER BY c.cleanup_id;
-- Nothing to tell of.
DELETE FROM markenmate.cleanup c WHERE c.job = %JOB% AND c.outcome = 'ended' AND c.deleted = 0;
INSERT INTO markenmate.cleanup (job, run_id, cut_off) VALUES (%JOB%, %RUN%, %CUT_OFF%)
RETURNING cleanup_id, %LAST_ARCHIVED% AS archived_before
