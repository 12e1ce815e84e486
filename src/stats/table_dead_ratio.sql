-- In a small table a few updates are most of it: nobody need vacuum that.
SELECT format('%I.%I', n.nspname, c.relname) AS "table",
       pg_stat_get_dead_tuples(c.oid)::float8 / (pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid)) AS value
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
 WHERE c.relkind = 'r' AND NOT pg_is_in_recovery()
   AND pg_stat_get_dead_tuples(c.oid) >= 10000
 ORDER BY 1
