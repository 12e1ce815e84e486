-- What schema markenmate holds, by name.
SELECT c.relname AS relation
  FROM pg_class c
 WHERE c.relnamespace = to_regnamespace('markenmate') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
 ORDER BY 1
