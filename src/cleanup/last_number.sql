-- The last number that a row of the archive was given; `behind`: rows have higher ones, as after a restore without sequences.
SET LOCAL enable_seqscan = off;
SELECT s.last AS last_number, EXISTS (SELECT FROM markenmate.%ARCHIVE% a WHERE a.archive_id > s.last) AS behind
  FROM (SELECT CASE WHEN n.is_called THEN n.last_value ELSE n.last_value - 1 END AS last
          FROM markenmate.%ARCHIVE%_archive_id_seq n) s
