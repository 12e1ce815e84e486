-- Everything in markenmate_quarantine, registered or not: `util down` of an older build registers nothing. And what is
-- registered as kept and is not there any more.
SELECT name, of_table, of_column, state, since, bytes
  FROM (SELECT c.relname AS name, s.of_table, s.of_column, coalesce(s.state, 'kept') AS state, s.set_aside_at,
               to_char(s.set_aside_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS since,
               pg_total_relation_size(c.oid)::text AS bytes
          FROM pg_class c
          LEFT JOIN markenmate.set_aside s ON s.name = c.relname
         WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relkind IN ('r', 'p')
         UNION ALL
        SELECT s.name, s.of_table, s.of_column, 'lost', s.set_aside_at,
               to_char(s.set_aside_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), '0'
          FROM markenmate.set_aside s
         WHERE s.state IN ('kept', 'returning')
           AND NOT EXISTS (SELECT FROM pg_class c
                            WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relname = s.name)) x
 ORDER BY set_aside_at, name
