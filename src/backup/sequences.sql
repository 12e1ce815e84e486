-- Sequences ignore snapshots: what is read here is at most what pg_dump reads a moment later. An
-- extension makes its own anew.
SELECT format('%I.%I', s.schemaname, s.sequencename) AS name,
       s.last_value::text AS last_value,
       s.increment_by < 0 AS descends,
       s.cycle AS cycles
  FROM pg_sequences s
 WHERE s.schemaname <> 'information_schema' AND s.schemaname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'
                      AND d.objid = format('%I.%I', s.schemaname, s.sequencename)::regclass)
 ORDER BY s.schemaname COLLATE "C", s.sequencename COLLATE "C"
