-- Where the server has forgotten (a crash, a copy) or does not count (a standby), nobody knows.
SELECT format('%I.%I', n.nspname, c.relname) AS "table", pg_stat_get_dead_tuples(c.oid) AS value
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
 WHERE c.relkind = 'r' AND NOT pg_is_in_recovery()
   AND (pg_relation_size(c.oid) = 0
        OR pg_stat_get_live_tuples(c.oid) + pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_deleted(c.oid) > 0)
 ORDER BY 1
