-- Sequences ignore snapshots: what is read here is at most what pg_dump reads a moment later.
SELECT format('%I.%I', schemaname, sequencename) AS name, last_value::text AS last_value
  FROM pg_sequences
 WHERE schemaname <> 'information_schema' AND schemaname !~ '^pg_'
 ORDER BY schemaname COLLATE "C", sequencename COLLATE "C"
