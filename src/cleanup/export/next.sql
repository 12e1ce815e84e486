-- The oldest month, or as much of it as one file takes; a row's hash is that of its line.
WITH oldest AS (
    SELECT date_trunc('month', min(a.created_at) AT TIME ZONE 'UTC') AS month
      FROM markenmate.%ARCHIVE% a
     WHERE a.created_at < %BEFORE% AND a.created_at >= '0001-01-01T00:00:00Z'::timestamptz AND a.archive_id <= %BOUND%
), chosen AS (
    SELECT a.archive_id, hashtextextended(row_to_json(a)::text, 0) AS hash
      FROM oldest o
      JOIN markenmate.%ARCHIVE% a ON a.created_at >= o.month AT TIME ZONE 'UTC'
                                 AND a.created_at < (o.month + interval '1 month') AT TIME ZONE 'UTC'
     WHERE a.archive_id <= %BOUND%
     ORDER BY a.archive_id LIMIT %MOST%
)
SELECT to_char(o.month, 'YYYY-MM-DD') AS month, c.first_archive_id, c.last_archive_id, c.rows, c.checksum
  FROM oldest o,
       (SELECT min(archive_id) AS first_archive_id, max(archive_id) AS last_archive_id, count(*) AS rows, sum(hash) AS checksum
          FROM chosen) c
 WHERE c.rows > 0
