-- What of others hangs on the columns and tables that go: it would be dropped along, or stand in the way, or go
-- on reading what was set aside. Indexes and constraints of the contract go with their columns.
WITH leaving AS (
    SELECT c.oid, c.relname, a.attnum, a.attname
      FROM (VALUES %LEAVING%) v(table_name, column_name)
      JOIN pg_class c ON c.relname = v.table_name AND c.relnamespace = 'public'::regnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = v.column_name AND NOT a.attisdropped
     WHERE v.column_name IS NULL OR a.attnum IS NOT NULL
), dependent AS (
    SELECT d.classid, d.objid, d.objsubid, l.relname, l.attname
      FROM leaving l
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = l.oid
                      AND (l.attnum IS NULL OR d.refobjsubid = l.attnum) AND d.deptype IN ('n', 'a')
)
SELECT x.what, x.subject, x.remedy FROM (
    SELECT DISTINCT CASE v.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS what,
           format('%I.%I', n.nspname, v.relname) AS subject,
           format('DROP %s %I.%I;  -- keep what it says: SELECT pg_get_viewdef(''%I.%I''::regclass);',
                  CASE v.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, n.nspname, v.relname, n.nspname, v.relname) AS remedy
      FROM dependent d
      JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
      JOIN pg_class v ON v.oid = r.ev_class AND v.oid NOT IN (SELECT l.oid FROM leaving l)
      JOIN pg_namespace n ON n.oid = v.relnamespace
    UNION ALL
    SELECT DISTINCT 'function', p.oid::regprocedure::text, format('DROP FUNCTION %s;', p.oid::regprocedure)
      FROM dependent d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
     WHERE p.pronamespace <> ALL (ARRAY(SELECT oid FROM pg_namespace WHERE nspname = 'markenmate'))
    UNION ALL
    SELECT DISTINCT 'foreign key', format('%I on %s', k.conname, k.conrelid::regclass),
           format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname)
      FROM leaving l JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = l.oid
     WHERE l.attnum IS NULL AND k.conrelid NOT IN (SELECT o.oid FROM leaving o WHERE o.attnum IS NULL)
    UNION ALL
    -- They would be gone without a word.
    SELECT DISTINCT 'index', format('%I.%I', n.nspname, x.relname), format('DROP INDEX %I.%I;', n.nspname, x.relname)
      FROM dependent d JOIN pg_class x ON d.classid = 'pg_class'::regclass AND x.oid = d.objid AND x.relkind IN ('i', 'I')
      JOIN pg_namespace n ON n.oid = x.relnamespace
     WHERE d.attname IS NOT NULL
    UNION ALL
    SELECT DISTINCT 'constraint', format('%I on %s', k.conname, k.conrelid::regclass),
           format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname)
      FROM dependent d JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
     WHERE d.attname IS NOT NULL AND k.contype IN ('c', 'u', 'x', 'f')
    UNION ALL
    SELECT DISTINCT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass),
           format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
      FROM dependent d JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
     WHERE d.attname IS NOT NULL AND NOT t.tgisinternal
    UNION ALL
    SELECT DISTINCT 'policy', format('%I on %s', p.polname, p.polrelid::regclass),
           format('DROP POLICY %I ON %s;', p.polname, p.polrelid::regclass)
      FROM dependent d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
     WHERE d.attname IS NOT NULL
    UNION ALL
    SELECT DISTINCT 'generated column or default', format('%s.%I', d2.adrelid::regclass, a.attname),
           format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION;', d2.adrelid::regclass, a.attname)
      FROM dependent d JOIN pg_attrdef d2 ON d.classid = 'pg_attrdef'::regclass AND d2.oid = d.objid
      JOIN pg_attribute a ON a.attrelid = d2.adrelid AND a.attnum = d2.adnum
     WHERE d.attname IS NOT NULL AND a.attname <> d.attname
    UNION ALL
    SELECT DISTINCT 'statistics', format('%I.%I', n.nspname, s.stxname), format('DROP STATISTICS %I.%I;', n.nspname, s.stxname)
      FROM dependent d JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
      JOIN pg_namespace n ON n.oid = s.stxnamespace
     WHERE d.attname IS NOT NULL
) x
 ORDER BY 1, 2
