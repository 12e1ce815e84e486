-- A page: rows of a stretch of numbers, in their order. Without statistics as well, as after the run that filled the
-- archive, only the blocks of that stretch are read.
SET LOCAL enable_seqscan = off;
SELECT p.archive_id, hashtextextended(p.line, 0) AS hash, p.line, p.next_archive_id
  FROM (SELECT l.archive_id, l.line, sum(octet_length(l.line)) OVER (ORDER BY l.archive_id) AS so_far,
               lead(l.archive_id) OVER (ORDER BY l.archive_id) AS next_archive_id
          FROM (SELECT a.archive_id, row_to_json(a)::text AS line
                  FROM markenmate.%ARCHIVE% a
                 WHERE a.archive_id > %AFTER% AND a.archive_id <= %UP_TO% AND %RANGE%
                 ORDER BY a.archive_id LIMIT %SIZE%) l) p
 -- Not more than that many bytes at once, but one row at least.
 WHERE p.so_far <= %BYTES% OR p.so_far = octet_length(p.line)
 ORDER BY p.archive_id
