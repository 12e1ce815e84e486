-- What keeps the guide's archive from being taken over whole, and what mends it: whatever reads it, keys to it, rows
-- without what the archive demands.
SELECT format('%s %s reads it', kind, name) AS what,
       format('DROP %s %s;  -- its text first: SELECT pg_get_viewdef(%L, true);', upper(kind), name, name) AS remedy
  FROM (SELECT DISTINCT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS kind, c.oid::regclass::text AS name
          FROM pg_depend d
          JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
          JOIN pg_class c ON c.oid = r.ev_class
         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'public.audit_log_archive'::regclass AND c.oid <> d.refobjid) v
 UNION ALL
SELECT format('key %I of %s points to it', k.conname, k.conrelid::regclass),
       format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname)
  FROM pg_constraint k
 WHERE k.contype = 'f' AND k.confrelid = 'public.audit_log_archive'::regclass AND k.conrelid <> k.confrelid
 UNION ALL
SELECT format('%s row(s) lack what the archive demands: %s', count(*), %NEEDED_NAMES%),
       format('SELECT * FROM public.audit_log_archive t WHERE %s;  -- give them what they lack, or take them out', %NEEDED_TEXT%)
  FROM ONLY public.audit_log_archive t
 WHERE %NEEDED%
HAVING count(*) > 0
 ORDER BY 1 LIMIT 5
