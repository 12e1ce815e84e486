-- The run's row gets what its batches did; none is at work, or is waited for.
SELECT FROM markenmate.cleanup c WHERE c.cleanup_id = %CLEANUP% AND c.finished_at IS NULL FOR UPDATE;
UPDATE markenmate.cleanup c
   SET finished_at = clock_timestamp(), last_at = coalesce(b.at, c.last_at), outcome = %OUTCOME%,
       deleted = coalesce(b.deleted, 0), archived = coalesce(b.archived, 0),
       first_id = least(b.first_id, %FIRST%), last_id = greatest(b.last_id, %LAST%),
       checksum = %CHECKSUM%, skipped = %SKIPPED%, remaining = %REMAINING%
  FROM (SELECT max(at) AS at, sum(deleted)::bigint AS deleted, sum(archived)::bigint AS archived,
               min(first_id) AS first_id, max(last_id) AS last_id
          FROM markenmate.cleanup_batch WHERE cleanup_id = %CLEANUP%) b
 WHERE c.cleanup_id = %CLEANUP% AND c.finished_at IS NULL
RETURNING c.cleanup_id, c.deleted, c.archived, c.first_id, c.last_id, c.checksum, c.run_id,
          to_char(c.cut_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off;
DELETE FROM markenmate.cleanup_batch WHERE cleanup_id = %CLEANUP%;
-- One row for all runs that found nothing, one after the other: the latest.
DELETE FROM markenmate.cleanup p
 USING markenmate.cleanup c
 WHERE c.cleanup_id = %CLEANUP% AND c.deleted = 0 AND %OUTCOME% = 'done' AND p.job = c.job AND p.deleted = 0 AND p.finished_at IS NOT NULL
   AND p.cleanup_id = (SELECT max(l.cleanup_id) FROM markenmate.cleanup l WHERE l.job = c.job AND l.cleanup_id < c.cleanup_id)
