-- What was set aside last comes first: where a place takes one value only, it is the latest.
SELECT s.name, s.version::text, s.of_table, s.of_column, s.state
  FROM markenmate.set_aside s
 WHERE s.state IN ('kept', 'returning')
 ORDER BY s.set_aside_at DESC, s.name
