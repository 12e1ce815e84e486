-- Every file of the run in one read: months from the oldest on, each in pieces of as many rows as one file takes; a
-- row's hash is that of its line.
SELECT to_char(month, 'YYYY-MM-DD') AS month, min(archive_id) AS first_archive_id, max(archive_id) AS last_archive_id,
       count(*) AS rows, sum(hash) AS checksum
  FROM (SELECT month, archive_id, hash, (row_number() OVER (PARTITION BY month ORDER BY archive_id) - 1) / %MOST% AS piece
          FROM (SELECT date_trunc('month', a.created_at AT TIME ZONE 'UTC') AS month, a.archive_id,
                       hashtextextended(row_to_json(a)::text, 0) AS hash
                  FROM markenmate.%ARCHIVE% a
                 WHERE a.created_at < %BEFORE% AND a.created_at >= '0001-01-01T00:00:00Z'::timestamptz AND a.archive_id <= %BOUND%
                -- Hashed before they are sorted: three numbers a row go through the sort, and not the row.
                OFFSET 0) line) row
 GROUP BY row.month, row.piece
 ORDER BY row.month, row.piece
