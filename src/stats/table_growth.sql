-- Each table of the application's that says when a row was made, and that we may read, by query_to_xml: plain SQL
-- that runs in READ ONLY and needs no libxml. Those that have a file of their own are counted there.
WITH window_of AS (
    SELECT coalesce(nullif(current_setting('markenmate.since', true), '')::timestamptz, now() - interval '24 hours') AS since
), counted AS MATERIALIZED (
    SELECT format('%I.%I', n.nspname, c.relname) AS "table", w.since,
           query_to_xml(format('SELECT count(*) AS n FROM %I.%I WHERE created_at >= %L::timestamptz',
                               n.nspname, c.relname, w.since), true, true, '')::text AS answer
      FROM window_of w
     CROSS JOIN pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'created_at' AND NOT a.attisdropped
                                    AND a.atttypid = 'timestamptz'::regtype
     WHERE c.relkind = 'r' AND c.relname NOT IN ('audit_log', 'step_up_token', 'app_log') AND has_table_privilege(c.oid, 'SELECT')
)
SELECT 'table-growth' AS metric, "table",
       substring(answer FROM '<n>([0-9]+)</n>')::float8 / (extract(epoch FROM now() - since)::float8 / 86400) AS value
  FROM counted
 ORDER BY 2
