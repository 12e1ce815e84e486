-- In pg_cron's own database. What is called must be the extension's: a schema of that name can be anybody's.
SELECT e.extversion AS version,
       p.oid IS NOT NULL AS schedules_elsewhere,
       coalesce(has_schema_privilege(e.extnamespace, 'USAGE') AND n.usable, false) AS uses_schema,
       coalesce(has_function_privilege(p.oid, 'EXECUTE'), false) AS may
  FROM pg_extension e
 CROSS JOIN LATERAL (SELECT bool_and(has_schema_privilege(s.oid, 'USAGE')) AS usable
                       FROM pg_namespace s WHERE s.nspname = 'cron') n
  LEFT JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
        AND d.objid IN (SELECT f.oid FROM pg_proc f JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'c'
                         WHERE f.proname = 'schedule_in_database')
  LEFT JOIN pg_proc p ON p.oid = d.objid
 WHERE e.extname = 'pg_cron'
 ORDER BY p.oid NULLS LAST
 LIMIT 1
