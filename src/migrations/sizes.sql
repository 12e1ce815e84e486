-- As large as what a scan reads, children included. A table that nothing has counted yet has no number of rows.
WITH RECURSIVE named(oid, root, name) AS (
    SELECT c.oid, c.oid, format('%I.%I', n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND (n.nspname::text, c.relname::text) IN (%TABLES%)
     UNION
    SELECT i.inhrelid, n.root, n.name FROM named n JOIN pg_inherits i ON i.inhparent = n.oid
)
SELECT n.name, sum(s.bytes)::bigint AS bytes,
       CASE WHEN count(*) = count(s.rows) THEN sum(s.rows)::bigint END AS rows
  FROM named n
  JOIN pg_class c ON c.oid = n.oid
 CROSS JOIN LATERAL (SELECT b.bytes,
                            CASE WHEN b.bytes = 0 THEN 0
                                 WHEN c.reltuples > 0 OR c.reltuples = 0 AND c.relpages > 0 THEN c.reltuples END::bigint AS rows
                       FROM (SELECT %BYTES% AS bytes) b) s
 GROUP BY n.root, n.name
