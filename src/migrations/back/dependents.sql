-- What of others hangs on the columns and tables that go, and what hangs on that: it would be dropped along, or
-- stand in the way, or go on reading what was set aside, or keep it from being dropped once it is empty. What hangs
-- on others first, so that one after the other can be dropped. Indexes, constraints and the like of a table that
-- goes go with it.
WITH RECURSIVE leaving AS (
    SELECT c.oid, c.relname, a.attnum, a.attname
      FROM (VALUES %LEAVING%) v(table_name, column_name)
      JOIN pg_class c ON c.relname = v.table_name AND c.relnamespace = 'public'::regnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = v.column_name AND NOT a.attisdropped
     WHERE v.column_name IS NULL OR a.attnum IS NOT NULL
), hangs(classid, objid, subid, depth) AS (
    -- subid 0: the whole of it.
    SELECT 'pg_class'::regclass::oid, l.oid, coalesce(l.attnum, 0)::integer, 0 FROM leaving l
     UNION
    SELECT n.classid, n.objid, n.subid, h.depth + 1
      FROM hangs h CROSS JOIN LATERAL (
        SELECT d.classid, d.objid, d.objsubid AS subid
          FROM pg_depend d
         WHERE d.refclassid = h.classid AND d.refobjid = h.objid AND (h.subid = 0 OR d.refobjsubid = h.subid)
           AND d.deptype IN ('n', 'a', 'i')
           -- A view's rule hangs on the view as well.
           AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
                              AND r.ev_class = d.refobjid AND r.rulename = '_RETURN')
           -- And a default on its column.
           AND NOT EXISTS (SELECT FROM pg_attrdef g WHERE d.classid = 'pg_attrdef'::regclass AND g.oid = d.objid
                              AND g.adrelid = d.refobjid AND g.adnum = d.refobjsubid)
         UNION ALL
        SELECT 'pg_class'::regclass, r.ev_class, 0
          FROM pg_rewrite r WHERE h.classid = 'pg_rewrite'::regclass AND r.oid = h.objid AND r.rulename = '_RETURN'
         UNION ALL
        SELECT 'pg_class'::regclass, g.adrelid, g.adnum
          FROM pg_attrdef g JOIN pg_attribute a ON a.attrelid = g.adrelid AND a.attnum = g.adnum AND a.attgenerated <> ''
         WHERE h.classid = 'pg_attrdef'::regclass AND g.oid = h.objid
         UNION ALL
        SELECT 'pg_type'::regclass, c.reltype, 0
          FROM pg_class c WHERE h.classid = 'pg_class'::regclass AND h.subid = 0 AND c.oid = h.objid AND c.reltype <> 0
         UNION ALL
        -- Children have every column of their parent's.
        SELECT 'pg_class'::regclass, i.inhrelid, 0
          FROM pg_inherits i WHERE h.depth = 0 AND h.classid = 'pg_class'::regclass AND i.inhparent = h.objid
           ) n
     WHERE h.depth < 16
), dependent AS (
    SELECT h.classid, h.objid, h.subid, max(h.depth) AS depth FROM hangs h GROUP BY 1, 2, 3 HAVING min(h.depth) > 0
), going AS (
    -- Whose own things need not be named: tables that go, and views that are named.
    SELECT l.oid FROM leaving l WHERE l.attnum IS NULL
     UNION ALL
    SELECT c.oid FROM dependent d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('v', 'm')
), named AS (
    SELECT d.depth, CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS what, c.oid::regclass::text AS subject,
           format('DROP %s %s;  -- keep what it says: SELECT pg_get_viewdef(%L::regclass);',
                  CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, c.oid::regclass, c.oid::regclass) AS remedy
      FROM dependent d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('v', 'm')
     UNION ALL
    SELECT d.depth, 'rule', format('%I on %s', r.rulename, r.ev_class::regclass),
           format('DROP RULE %I ON %s;  -- keep what it says: SELECT pg_get_ruledef(%s);', r.rulename, r.ev_class::regclass, r.oid)
      FROM dependent d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
     WHERE r.rulename <> '_RETURN' AND r.ev_class NOT IN (SELECT oid FROM going)
     UNION ALL
    SELECT d.depth, 'function', p.oid::regprocedure::text,
           format('DROP ROUTINE %s;  -- keep what it says: SELECT pg_get_functiondef(%s);', p.oid::regprocedure, p.oid)
      FROM dependent d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
     WHERE p.pronamespace <> ALL (ARRAY(SELECT oid FROM pg_namespace WHERE nspname = 'markenmate'))
     UNION ALL
    SELECT d.depth, 'index', c.oid::regclass::text,
           format('DROP INDEX %s;  -- keep what it says: SELECT pg_get_indexdef(%s);', c.oid::regclass, c.oid)
      FROM dependent d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('i', 'I')
      JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid AND t.relkind <> 't'
     WHERE i.indrelid NOT IN (SELECT oid FROM going)
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = i.indrelid)
     UNION ALL
    SELECT d.depth, CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, format('%I on %s', k.conname, k.conrelid::regclass),
           format('ALTER TABLE %s DROP CONSTRAINT %I;  -- keep what it says: SELECT pg_get_constraintdef(%s);',
                  k.conrelid::regclass, k.conname, k.oid)
      FROM dependent d JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
     WHERE k.conrelid <> 0 AND k.contype IN ('c', 'u', 'p', 'x', 'f') AND k.conrelid NOT IN (SELECT oid FROM going)
     UNION ALL
    -- Those of a table that goes would be gone without a word, and push does not take them away.
    SELECT d.depth, 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass),
           format('DROP TRIGGER %I ON %s;  -- keep what it says: SELECT pg_get_triggerdef(%s);', t.tgname, t.tgrelid::regclass, t.oid)
      FROM dependent d JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
      JOIN pg_proc p ON p.oid = t.tgfoid
      JOIN pg_class c ON c.oid = t.tgrelid AND c.relkind NOT IN ('v', 'm')
     WHERE NOT t.tgisinternal
       AND p.pronamespace <> ALL (ARRAY(SELECT oid FROM pg_namespace WHERE nspname = 'markenmate'))
     UNION ALL
    SELECT d.depth, 'policy', format('%I on %s', p.polname, p.polrelid::regclass),
           format('DROP POLICY %I ON %s;', p.polname, p.polrelid::regclass)
      FROM dependent d JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
     UNION ALL
    SELECT d.depth, 'default', format('%s.%I', g.adrelid::regclass, a.attname),
           format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT;', g.adrelid::regclass, a.attname)
      FROM dependent d JOIN pg_attrdef g ON d.classid = 'pg_attrdef'::regclass AND g.oid = d.objid
      JOIN pg_attribute a ON a.attrelid = g.adrelid AND a.attnum = g.adnum AND a.attgenerated = ''
     WHERE g.adrelid NOT IN (SELECT oid FROM going)
     UNION ALL
    SELECT d.depth, CASE WHEN a.attgenerated <> '' THEN 'generated column' ELSE 'column' END, format('%s.%I', c.oid::regclass, a.attname),
           CASE a.attgenerated WHEN 's' THEN format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION;', c.oid::regclass, a.attname)
                               WHEN '' THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE text USING %2$I::text;', c.oid::regclass, a.attname)
                               ELSE format('ALTER TABLE %s DROP COLUMN %I;', c.oid::regclass, a.attname) END
      FROM dependent d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'p', 'f')
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.subid AND d.subid > 0 AND NOT a.attisdropped
     WHERE c.oid NOT IN (SELECT oid FROM going)
       -- Its own default, and what is generated or of a kind that goes; a column with a default of that sort is named there.
       AND (a.attgenerated <> '' OR a.atttypid IN (SELECT objid FROM dependent WHERE classid = 'pg_type'::regclass))
     UNION ALL
    SELECT d.depth, 'inheriting table', c.oid::regclass::text,
           format('ALTER TABLE %s NO INHERIT %s;', c.oid::regclass, i.inhparent::regclass)
      FROM dependent d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'p', 'f') AND d.subid = 0
      JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent IN (SELECT oid FROM leaving)
     UNION ALL
    SELECT d.depth, 'sequence', c.oid::regclass::text, format('ALTER SEQUENCE %s OWNED BY NONE;', c.oid::regclass)
      FROM dependent d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'S'
      JOIN pg_depend o ON o.classid = d.classid AND o.objid = c.oid AND o.deptype IN ('a', 'i') AND o.refclassid = 'pg_class'::regclass
     WHERE o.refobjid NOT IN (SELECT oid FROM going)
     UNION ALL
    SELECT d.depth, 'statistics', format('%I.%I', n.nspname, s.stxname), format('DROP STATISTICS %I.%I;', n.nspname, s.stxname)
      FROM dependent d JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
      JOIN pg_namespace n ON n.oid = s.stxnamespace
     WHERE s.stxrelid NOT IN (SELECT oid FROM going)
     UNION ALL
    SELECT d.depth, 'publication', format('%I of %s', p.pubname, r.prrelid::regclass),
           format('ALTER PUBLICATION %I DROP TABLE ONLY %s;', p.pubname, r.prrelid::regclass)
      FROM dependent d JOIN pg_publication_rel r ON d.classid = 'pg_publication_rel'::regclass AND r.oid = d.objid
      JOIN pg_publication p ON p.oid = r.prpubid
     UNION ALL
    -- Whatever else there may be.
    SELECT d.depth, 'object', pg_describe_object(d.classid, d.objid, 0), format('-- drop %s', pg_describe_object(d.classid, d.objid, 0))
      FROM dependent d LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
     WHERE d.classid NOT IN ('pg_class'::regclass, 'pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_constraint'::regclass,
                             'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_attrdef'::regclass,
                             'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass)
       AND (t.oid IS NULL OR t.typtype = 'd')
)
-- What it says comes first: pasted as it is, the line shows it before it is gone.
SELECT what, subject,
       regexp_replace(remedy, '^(.*)  -- keep what it says: (.*)$', E'\\2  -- keep what it says\n\\1') AS remedy
  FROM (SELECT what, subject, remedy, max(depth) AS depth FROM named GROUP BY 1, 2, 3) x
 ORDER BY what <> 'inheriting table', depth DESC, what, subject
