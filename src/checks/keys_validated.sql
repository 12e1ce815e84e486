SELECT format('public.%I.%I', c.relname, k.conname) AS subject,
       'is NOT VALID: new rows obey it, the rows from before were never looked at' AS detail,
       format('ALTER TABLE public.%I VALIDATE CONSTRAINT %I;', c.relname, k.conname) AS remedy
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
 WHERE k.contype IN ('f', 'c') AND NOT k.convalidated AND k.conparentid = 0
 ORDER BY 1
