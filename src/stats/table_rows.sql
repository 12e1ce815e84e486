-- As the server counts them; where it has forgotten (a crash, a standby), as ANALYZE estimated them.
SELECT format('%I.%I', n.nspname, c.relname) AS "table",
       CASE WHEN pg_stat_get_live_tuples(c.oid) + pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_deleted(c.oid) > 0
            THEN pg_stat_get_live_tuples(c.oid) ELSE greatest(c.reltuples, 0) END AS value
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
 WHERE c.relkind = 'r'
 ORDER BY 1
