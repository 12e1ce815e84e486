-- What writes into the audit log: `insert into "audit_log"` in any case, quoted or not, with or without its schema.
-- By how it begins: WITH ... INSERT INTO audit_log, which no application so far sends, is not counted.
-- What compares a version: an update of a lending with it in its condition; accepting and declining do not.
-- The extension may be in any schema and of any version: its function is called where it is (the server may have
-- been told to expand no view), by query_to_xml, which is plain SQL that runs in READ ONLY and needs no libxml.
WITH looked_for AS (
    SELECT $pattern$^(\s|/\*([^*]|\*+[^*/])*\*+/|--[^\n]*\n)*insert\s+into\s+("?public"?\s*\.\s*)?("audit_log"|audit_log\M)(?!\s*\.)$pattern$ AS writes,
           $pattern$^(\s|/\*([^*]|\*+[^*/])*\*+/|--[^\n]*\n)*update\s+(only\s+)?("?public"?\s*\.\s*)?("token_lending"|token_lending\M)(?!\s*\.).*\mwhere\M((?!\mreturning\M).)*\mversion\M$pattern$ AS compares
), counted_by AS (
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
               $query$SELECT sum(s.calls) FILTER (WHERE s.writes) AS writes, sum(s.total) FILTER (WHERE s.writes) AS write_time,
                             sum(s.calls) FILTER (WHERE s.compares) AS checks, sum(s.total) FILTER (WHERE s.compares) AS check_time
                        FROM (SELECT s.calls, s.%1$I AS total, s.query ~* %3$L AS writes, s.query ~* %4$L AS compares FROM %2$s s
                               WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) s$query$,
               total, call, writes, compares), true, true, '')::text AS answer
      FROM counted_by, looked_for
), found AS (
    SELECT substring(answer FROM '<writes>([^<]+)</')::float8 AS writes, substring(answer FROM '<write_time>([^<]+)</')::float8 AS write_time,
           substring(answer FROM '<checks>([^<]+)</')::float8 AS checks, substring(answer FROM '<check_time>([^<]+)</')::float8 AS check_time
      FROM answered
)
SELECT v.metric, v.value
  FROM found f
 CROSS JOIN LATERAL (VALUES
       ('audit-writes', coalesce(f.writes, 0)),
       ('audit-write-time', coalesce(f.write_time, 0)),
       ('audit-insert', f.write_time / nullif(f.writes, 0)),
       ('version-checks', coalesce(f.checks, 0)),
       ('version-check-time', coalesce(f.check_time, 0)),
       ('version-check', f.check_time / nullif(f.checks, 0))) v(metric, value)
