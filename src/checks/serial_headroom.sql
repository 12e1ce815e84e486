-- Sequences are read one by one: pg_sequences shows NULL instead of refusing where a right is missing.
WITH owned AS (
    SELECT format('public.%I.%I', c.relname, a.attname) AS subject, format_type(a.atttypid, NULL) AS type,
           least(q.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                                           ELSE 9223372036854775807 END) AS top,
           format('SELECT last_value AS n FROM %I.%I', sn.nspname, s.relname) AS query
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid > 0
                      AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
      JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
      JOIN pg_namespace sn ON sn.oid = s.relnamespace
      JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0 AND NOT q.seqcycle
), used AS MATERIALIZED (
    SELECT subject, type, top,
           substring(query_to_xml(query, true, true, '')::text FROM '<n>(-?[0-9]+)</n>')::numeric AS last
      FROM owned
)
SELECT subject,
       format('%s %% of %s is used (%s of %s)%s', trunc(100 * last / top), type, last, top,
              CASE WHEN last > 0.9 * top THEN ': past 90 %, at its end every INSERT fails' ELSE '' END) AS detail
  FROM used
 WHERE last > 0.7 * top
 ORDER BY last / top DESC, subject
