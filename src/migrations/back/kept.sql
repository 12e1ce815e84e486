-- What was set aside last comes first: where a place takes one value only, it is the latest.
SELECT s.name, s.version::text, s.of_table, s.of_column, s.state,
       EXISTS (SELECT FROM pg_class c
                WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relname = s.name)::text AS there
  FROM markenmate.set_aside s
 WHERE s.state IN ('kept', 'returning')
 ORDER BY s.set_aside_at DESC, s.name
