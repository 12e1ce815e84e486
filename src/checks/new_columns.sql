SELECT format('public.%I.%I', wanted.tab, wanted.col) AS subject,
       CASE WHEN a.attname IS NULL THEN format('the column is missing; expected %s', wanted.type)
            ELSE format('is of type %s; expected %s', format_type(a.atttypid, a.atttypmod), wanted.type) END AS detail
  FROM (VALUES ('user', 'is_master_admin', 'boolean'),
               ('token_lending', 'version', 'integer'),
               ('app_log', 'correlation_id', 'text')) wanted(tab, col, type)
  LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public')
         ON c.relname = wanted.tab AND c.relkind IN ('r', 'p')
  LEFT JOIN pg_attribute a
         ON a.attrelid = c.oid AND a.attname = wanted.col AND a.attnum > 0 AND NOT a.attisdropped
 WHERE a.attname IS NULL OR format_type(a.atttypid, a.atttypmod) <> wanted.type
