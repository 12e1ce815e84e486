-- What is called must be the extension's own, in C, which only a superuser can make.
SELECT format('%I.%I', n.nspname, p.proname) AS function,
       has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE') AS may,
       'total_exec_time' = ANY (p.proargnames) AS is_new,
       current_user::text AS "user"
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
       AND d.classid = 'pg_proc'::regclass
  JOIN pg_proc p ON p.oid = d.objid AND p.proname = 'pg_stat_statements'
  JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE e.extname = 'pg_stat_statements'
