-- What compares a version: an update of a lending with it in its condition; accepting and declining do not.
-- The extension may be in any schema and of any version: its function is called where it is (the server may have
-- been told to expand no view), by query_to_xml, which is plain SQL that runs in READ ONLY and needs no libxml.
WITH counted_by AS (
    SELECT format('%I.%I(%s)', n.nspname, p.proname, CASE p.pronargs WHEN 0 THEN '' ELSE 'true' END) AS call,
           -- Up to version 1.7 planning was not told apart.
           CASE WHEN 'total_exec_time' = ANY (p.proargnames) THEN 'total_exec_time' ELSE 'total_time' END AS total
      FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
                                 AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e'
      JOIN pg_catalog.pg_proc p ON p.oid = d.objid AND p.proname = 'pg_stat_statements'
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE e.extname = 'pg_stat_statements'
), answered AS MATERIALIZED (
    SELECT query_to_xml(format(
               $query$SELECT sum(s.calls) AS n FROM %2$s s
                 WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                   AND s.query ~* %3$L$query$, total, call,
               $pattern$^(\s|/\*([^*]|\*+[^*/])*\*+/|--[^\n]*\n)*update\s+(only\s+)?("?public"?\s*\.\s*)?("token_lending"|token_lending\M)(?!\s*\.).*\mwhere\M((?!\mreturning\M).)*\mversion\M$pattern$),
               true, true, '')::text AS answer
      FROM counted_by
), found AS (
    SELECT substring(answer FROM '<n>([^<]+)</n>')::float8 AS n FROM answered
)
SELECT coalesce(n, 0) AS value FROM found
