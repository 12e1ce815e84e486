SELECT format('trigger %I on public.%I', t.tgname, c.relname) AS subject,
       format('is %s: it guards nothing', CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE 'enabled on replicas only' END) AS detail,
       format('ALTER TABLE public.%I ENABLE TRIGGER %I;', c.relname, t.tgname) AS remedy
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid AND c.relname = 'user'
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
  JOIN pg_proc p ON p.oid = t.tgfoid AND starts_with(p.proname, 'step_up_guard')
  JOIN pg_namespace o ON o.oid = p.pronamespace AND o.nspname = 'markenmate'
 WHERE NOT t.tgisinternal AND t.tgenabled IN ('D', 'R')
 ORDER BY 1
