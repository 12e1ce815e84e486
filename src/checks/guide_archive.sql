SELECT 'public.audit_log_archive' AS subject,
       'somebody made it by following the guide; the app''s push drops it while it is empty, and applies '
       'nothing at all once it holds a row' AS detail
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relname = 'audit_log_archive' AND c.relkind IN ('r', 'p')
