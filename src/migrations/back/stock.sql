-- Everything in markenmate_quarantine, registered or not: `util down` of an older build registers nothing.
SELECT c.relname AS name, s.of_table, s.of_column, coalesce(s.state, 'kept') AS state,
       to_char(s.set_aside_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS since,
       pg_total_relation_size(c.oid)::text AS bytes
  FROM pg_class c
  LEFT JOIN markenmate.set_aside s ON s.name = c.relname
 WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relkind IN ('r', 'p')
 ORDER BY s.set_aside_at, c.relname
