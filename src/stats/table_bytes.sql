SELECT format('%I.%I', n.nspname, c.relname) AS "table", pg_total_relation_size(c.oid) AS value
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
 WHERE c.relkind = 'r'
 ORDER BY pg_total_relation_size(c.oid) DESC, 1
