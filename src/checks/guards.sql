SELECT p.proname::text AS function
  FROM pg_trigger t
  JOIN pg_proc p ON p.oid = t.tgfoid
  JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'markenmate'
 WHERE NOT t.tgisinternal
