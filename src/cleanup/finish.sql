UPDATE markenmate.cleanup c
   SET finished_at = clock_timestamp(), outcome = %OUTCOME%, checksum = %CHECKSUM%, skipped = %SKIPPED%, remaining = %REMAINING%
 WHERE c.cleanup_id = %CLEANUP%
RETURNING c.cleanup_id, c.deleted, c.archived, c.first_id, c.last_id, c.checksum, c.run_id,
          to_char(c.cut_off AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cut_off
