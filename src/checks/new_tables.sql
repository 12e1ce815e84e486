SELECT format('public.%I', wanted.name) AS subject,
       'the table is missing' AS detail
  FROM (VALUES ('step_up_token'), ('audit_log')) wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'public' AND c.relname = wanted.name AND c.relkind IN ('r', 'p'))
