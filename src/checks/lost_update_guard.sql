-- A lending's version never decreases; an UPDATE that comes too late fails.
WITH needed (relation, name, function) AS (
    VALUES ('token_lending', 'markenmate_version', 'guard_lending'),
           ('token_lending', 'markenmate_conflict', 'guard_conflict'),
           ('token_lending', 'markenmate_inserting', 'note_purpose'),
           ('token_lending', 'markenmate_inserted', 'note_purpose'),
           ('token_lending', 'markenmate_updating', 'note_purpose')
), seen AS (
    SELECT n.relation, n.name, t.tgenabled AS enabled, p.oid IS NOT NULL AS calls_it
      FROM needed n
      LEFT JOIN pg_class c ON c.relname = n.relation
                          AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
      LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = n.name AND NOT t.tgisinternal
      LEFT JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = n.function
                         AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate')
)
SELECT format('public.%I', relation) AS subject, 'nothing guards it: the triggers of version 3 are not there' AS detail,
       'markenmate migrate' AS remedy
  FROM seen GROUP BY relation HAVING NOT bool_or(calls_it)
 UNION ALL
SELECT format('trigger %I on public.%I', name, relation),
       CASE WHEN NOT calls_it THEN 'is missing' WHEN enabled = 'D' THEN 'is disabled: it guards nothing'
            ELSE 'is enabled on replicas only: it guards nothing' END,
       CASE WHEN NOT calls_it THEN 'run the statement that `contract` prints: markenmate verify --only contract'
            ELSE format('ALTER TABLE public.%I ENABLE TRIGGER %I;', relation, name) END
  FROM seen s
 WHERE (NOT calls_it OR enabled IN ('D', 'R'))
   AND EXISTS (SELECT FROM seen o WHERE o.relation = s.relation AND o.calls_it)
 UNION ALL
SELECT format('public.%I.%I', k.relation, k.name), 'is gone, as an older application drops it: the guard falls silent',
       format('ALTER TABLE public.%I ADD COLUMN IF NOT EXISTS %I %s;', k.relation, k.name, k.type)
  FROM (VALUES ('token_lending', 'version', 'integer DEFAULT 1 NOT NULL')) k(relation, name, type)
  JOIN pg_class c ON c.relname = k.relation
                 AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
 WHERE NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped)
   AND EXISTS (SELECT FROM seen s WHERE s.relation = k.relation AND s.calls_it)
 ORDER BY 1
