-- As the server counts them; where it has forgotten (a crash, a copy) or does not count (a standby), as ANALYZE
-- estimated them. What nobody knows is left out.
SELECT format('%I.%I', n.nspname, c.relname) AS "table", k.live AS value
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
 CROSS JOIN LATERAL (SELECT NOT pg_is_in_recovery()
                        AND pg_stat_get_live_tuples(c.oid) + pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_deleted(c.oid) > 0) s(counts)
 CROSS JOIN LATERAL (SELECT CASE WHEN s.counts THEN pg_stat_get_live_tuples(c.oid)
                                 WHEN pg_relation_size(c.oid) = 0 THEN 0
                                 -- Never analyzed: -1, and 0 before version 14.
                                 WHEN c.reltuples > 0 THEN c.reltuples END) k(live)
 WHERE c.relkind = 'r' AND k.live IS NOT NULL
 ORDER BY 1
