-- A page in the order of the primary key, without statistics as well: after the run that filled the archive there are
-- none, and a sort of all that is left would go before each page.
SET LOCAL enable_sort = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = off;
SELECT p.archive_id, hashtextextended(p.line, 0) AS hash, p.line
  FROM (SELECT l.archive_id, l.line, sum(octet_length(l.line)) OVER (ORDER BY l.archive_id) AS so_far
          FROM (SELECT a.archive_id, row_to_json(a)::text AS line
                  FROM markenmate.%ARCHIVE% a
                 WHERE a.archive_id > %AFTER% AND %RANGE%
                 ORDER BY a.archive_id LIMIT %SIZE%) l) p
 -- Not more than that many bytes at once, but one row at least.
 WHERE p.so_far <= %BYTES% OR p.so_far = octet_length(p.line)
 ORDER BY p.archive_id
