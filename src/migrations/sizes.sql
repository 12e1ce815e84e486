-- As large as what a scan reads. A table that nothing has counted yet has no number of rows.
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       s.bytes,
       CASE WHEN s.bytes = 0 THEN 0
            WHEN c.reltuples > 0 OR c.reltuples = 0 AND c.relpages > 0 THEN c.reltuples END::bigint AS rows
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) AS bytes) s
 WHERE c.relkind IN ('r', 'p') AND (n.nspname::text, c.relname::text) IN (%TABLES%)
