-- The tables that rows leave and the archives that take them, as JSON: columns in their order.
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks,
       greatest(c.reltuples, 0)::bigint AS rows,
       pg_total_relation_size(c.oid) AS bytes,
       pg_has_role(c.relowner, 'USAGE') AS is_ours, has_table_privilege(c.oid, 'SELECT') AS is_readable,
       pg_get_userbyid(c.relowner) AS owner,
       (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                          'needed', a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
                                          'plain', t.typnamespace = 'pg_catalog'::regnamespace) ORDER BY a.attnum)
          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE (n.nspname, c.relname) IN (VALUES ('public', 'step_up_token'), ('public', 'audit_log'), ('public', 'app_log'),
                                         ('public', 'audit_log_archive'),
                                         ('markenmate', 'audit_log_archive'), ('markenmate', 'app_log_archive'));
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now
