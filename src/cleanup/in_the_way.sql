-- What keeps the guide's archive from being taken over whole: whatever reads it, keys to it, rows without what the
-- archive demands.
SELECT format('%s %s reads it', CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, c.oid::regclass) AS what
  FROM pg_depend d
  JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  JOIN pg_class c ON c.oid = r.ev_class
 WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'public.audit_log_archive'::regclass AND c.oid <> d.refobjid
 UNION
SELECT format('key %I of %s points to it', k.conname, k.conrelid::regclass)
  FROM pg_constraint k
 WHERE k.contype = 'f' AND k.confrelid = 'public.audit_log_archive'::regclass AND k.conrelid <> k.confrelid
 UNION ALL
SELECT format('%s row(s) lack what the archive demands: %s', count(*), %NEEDED_NAMES%)
  FROM ONLY public.audit_log_archive t
 WHERE %NEEDED%
HAVING count(*) > 0
 ORDER BY 1 LIMIT 5
