SELECT a.archive_id, hashtextextended(row_to_json(a)::text, 0) AS hash, row_to_json(a)::text AS line
  FROM markenmate.%ARCHIVE% a
 WHERE a.archive_id > %AFTER% AND %RANGE%
 ORDER BY a.archive_id LIMIT %SIZE%
