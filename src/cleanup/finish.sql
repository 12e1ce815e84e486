-- One row for all runs that found nothing, one after the other: the latest.
DELETE FROM markenmate.cleanup p
 USING markenmate.cleanup c
 WHERE c.cleanup_id = %CLEANUP% AND c.deleted = 0 AND %OUTCOME% = 'done' AND p.job = c.job AND p.deleted = 0 AND p.finished_at IS NOT NULL
   AND p.cleanup_id = (SELECT max(l.cleanup_id) FROM markenmate.cleanup l WHERE l.job = c.job AND l.cleanup_id < c.cleanup_id);
UPDATE markenmate.cleanup c
   SET finished_at = clock_timestamp(), outcome = %OUTCOME%, checksum = %CHECKSUM%, skipped = %SKIPPED%, remaining = %REMAINING%
 WHERE c.cleanup_id = %CLEANUP%
RETURNING c.cleanup_id, c.deleted, c.archived, c.first_id, c.last_id, c.checksum, c.run_id,
          to_char(c.cut_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off
