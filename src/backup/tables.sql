-- Every table with rows of its own that pg_dump writes: no views, no extension's own, and on a standby
-- nothing unlogged, which is empty there and cannot be read.
SELECT c.oid::text AS oid,
       format('%I.%I', n.nspname, c.relname) AS name,
       -- One row as a text that neither a dropped column nor another major version changes: the
       -- columns in the order of their names, each as its type itself writes it, quoted where that is
       -- needed; a cast may be anybody's code.
       format('concat(ROW(%s))',
              (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attname COLLATE "C")
                 FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped%LEFT_OUT%)) AS row_text
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
