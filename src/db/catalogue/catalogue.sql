-- Everything in schema public that a contract can speak of, as one JSON document.
-- Needs search_path = pg_catalog: printed expressions then qualify what is not built in.
WITH relation AS (
    SELECT c.oid, c.relname, c.relkind, pg_get_userbyid(c.relowner) AS owner
      FROM pg_class c
     WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
), base AS (
    SELECT * FROM relation WHERE relkind IN ('r', 'p')
), col AS (
    SELECT a.attrelid, json_object_agg(a.attname, json_build_object(
               'type', format_type(a.atttypid, a.atttypmod),
               'not_null', a.attnotnull,
               'default', pg_get_expr(d.adbin, d.adrelid),
               'generated', nullif(concat(
                   CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity' END,
                   CASE a.attgenerated WHEN '' THEN '' ELSE 'generated' END), ''))) AS columns
      FROM pg_attribute a
      JOIN base ON base.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped
     GROUP BY a.attrelid
), con AS (
    SELECT k.conrelid, json_object_agg(k.conname, json_build_object(
               'kind', CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique'
                                      WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'exclusion' END,
               'columns', (SELECT json_agg(a.attname ORDER BY u.n)
                             FROM unnest(k.conkey) WITH ORDINALITY u(attnum, n)
                             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
               'references', CASE WHEN k.contype = 'f' THEN json_build_object(
                   'table', (SELECT concat(CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END, f.relname)
                               FROM pg_class f JOIN pg_namespace n ON n.oid = f.relnamespace WHERE f.oid = k.confrelid),
                   'columns', (SELECT json_agg(a.attname ORDER BY u.n)
                                 FROM unnest(k.confkey) WITH ORDINALITY u(attnum, n)
                                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum),
                   'on_delete', CASE k.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                                                   WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END,
                   'on_update', CASE k.confupdtype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                                                   WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END) END,
               'expression', CASE WHEN k.contype IN ('c', 'x') THEN pg_get_constraintdef(k.oid) END,
               'validated', k.convalidated,
               'deferrable', k.condeferrable)) AS constraints
      FROM pg_constraint k
      JOIN base ON base.oid = k.conrelid
     WHERE k.contype IN ('p', 'u', 'f', 'c', 'x')
     GROUP BY k.conrelid
), idx AS (
    SELECT i.indrelid, json_object_agg(c.relname, json_build_object(
               'unique', i.indisunique,
               'valid', i.indisvalid,
               -- pg_get_indexdef is slow: only for expressions.
               'columns', (SELECT json_agg(coalesce(a.attname, pg_get_indexdef(i.indexrelid, u.n::int, true)) ORDER BY u.n)
                             FROM unnest(i.indkey) WITH ORDINALITY u(attnum, n)
                             LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum AND u.attnum <> 0
                            WHERE u.n <= i.indnkeyatts),
               'predicate', pg_get_expr(i.indpred, i.indrelid))) AS indexes
      FROM pg_index i
      JOIN base ON base.oid = i.indrelid
      JOIN pg_class c ON c.oid = i.indexrelid
     GROUP BY i.indrelid
), seq AS (
    SELECT d.refobjid, json_object_agg(s.relname, json_build_object(
               'column', a.attname, 'type', format_type(q.seqtypid, NULL), 'increment', q.seqincrement)) AS sequences
      FROM relation s
      JOIN pg_sequence q ON q.seqrelid = s.oid
      JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
                      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
      JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     GROUP BY d.refobjid
)
SELECT json_build_object(
    'enums', coalesce((SELECT json_object_agg(t.typname,
                 (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
               FROM pg_type t
              WHERE t.typtype = 'e' AND t.typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')), '{}'),
    'tables', coalesce((SELECT json_object_agg(b.relname, json_build_object(
                 'owner', b.owner,
                 'columns', coalesce(col.columns, '{}'),
                 'constraints', coalesce(con.constraints, '{}'),
                 'indexes', coalesce(idx.indexes, '{}'),
                 'sequences', coalesce(seq.sequences, '{}')))
               FROM base b
               LEFT JOIN col ON col.attrelid = b.oid
               LEFT JOIN con ON con.conrelid = b.oid
               LEFT JOIN idx ON idx.indrelid = b.oid
               LEFT JOIN seq ON seq.refobjid = b.oid), '{}'),
    'others', coalesce((SELECT json_object_agg(r.relname, r.relkind) FROM relation r WHERE r.relkind NOT IN ('r', 'p')), '{}')
)::text AS catalogue
