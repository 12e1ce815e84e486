-- Everything in schema public that a contract can speak of, as one JSON document: the rows of the
-- system catalogues much as they stand there. What belongs together is put together by whoever reads
-- it, which costs a fraction of the same joins here. Needs search_path = pg_catalog: printed
-- expressions then qualify what is not built in.
WITH relation AS (
    SELECT c.oid, c.relname AS name, c.relkind AS kind, pg_get_userbyid(c.relowner) AS owner
      FROM pg_class c
     WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
)
SELECT json_build_object(
    'relations', (SELECT json_agg(r) FROM relation r),
    'columns', (SELECT json_agg(x) FROM (
        SELECT a.attrelid AS relation, a.attnum AS number, a.attname AS name,
               format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
               pg_get_expr(d.adbin, d.adrelid) AS default, a.attidentity AS identity, a.attgenerated AS generated
          FROM relation r
          JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE r.kind IN ('r', 'p')) x),
    'constraints', (SELECT json_agg(x) FROM (
        SELECT k.conrelid AS relation, k.conname AS name, k.contype AS kind, k.conkey AS columns,
               k.confrelid AS parent, nullif(k.confrelid, 0)::regclass AS parent_name, k.confkey AS parent_columns,
               k.confdeltype AS on_delete, k.confupdtype AS on_update,
               CASE WHEN k.contype IN ('c', 'x') THEN pg_get_constraintdef(k.oid) END AS expression,
               k.convalidated AS validated, k.condeferrable AS deferrable
          FROM pg_constraint k
         WHERE k.conrelid IN (SELECT oid FROM relation WHERE kind IN ('r', 'p'))
           AND k.contype IN ('p', 'u', 'f', 'c', 'x')) x),
    'indexes', (SELECT json_agg(x) FROM (
        SELECT i.indrelid AS relation, i.indexrelid AS oid, i.indisunique AS unique, i.indisvalid AS valid,
               i.indkey::int2[] AS columns, i.indnkeyatts AS key_columns,
               CASE WHEN i.indexprs IS NOT NULL THEN (
                   SELECT array_agg(pg_get_indexdef(i.indexrelid, n, true) ORDER BY n)
                     FROM generate_series(1, i.indnkeyatts) n) END AS printed,
               pg_get_expr(i.indpred, i.indrelid) AS predicate
          FROM pg_index i
         WHERE i.indrelid IN (SELECT oid FROM relation WHERE kind IN ('r', 'p'))) x),
    'sequences', (SELECT json_agg(x) FROM (
        SELECT q.seqrelid AS oid, d.refobjid AS relation, d.refobjsubid AS "column",
               format_type(q.seqtypid, NULL) AS type, q.seqincrement AS increment
          FROM relation r
          JOIN pg_sequence q ON q.seqrelid = r.oid
          JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
         WHERE r.kind = 'S') x),
    -- Ours alone: what else hangs on the app's tables is nobody's contract.
    'triggers', (SELECT json_agg(x) FROM (
        SELECT t.tgrelid AS relation, t.tgname AS name, pg_get_triggerdef(t.oid) AS definition, p.proname AS function,
               t.tgenabled IN ('O', 'A') AS enabled
          FROM pg_trigger t
          JOIN pg_proc p ON p.oid = t.tgfoid
           AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate')
         WHERE NOT t.tgisinternal AND t.tgrelid IN (SELECT oid FROM relation WHERE kind IN ('r', 'p'))) x),
    'functions', (SELECT json_agg(x) FROM (
        SELECT p.oid::regprocedure AS name, pg_get_userbyid(p.proowner) AS owner,
               %FUNCTION_CODE% AS code
          FROM pg_proc p
          JOIN pg_language l ON l.oid = p.prolang
         WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate')
           -- Of our own schema, which no version of the app's brings or takes away.
           AND p.proname <> 'guard_archive') x),
    'own', (SELECT json_build_object(
        'there', ARRAY(SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'S')
                        UNION ALL
                       SELECT c.relname || '.' || t.tgname FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
                        WHERE c.relnamespace = n.oid AND t.tgenabled IN ('O', 'A')
                        UNION ALL
                       SELECT p.proname || '()' FROM pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'guard_archive'),
        'readers', ARRAY(SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
                           FROM aclexplode(n.nspacl) x
                          WHERE x.privilege_type = 'USAGE' AND x.grantee <> n.nspowner ORDER BY 1))
               FROM pg_namespace n WHERE n.nspname = 'markenmate'),
    'enums', (SELECT json_agg(x) FROM (
        SELECT t.typname AS name, (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder)
                                     FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels
          FROM pg_type t
         WHERE t.typtype = 'e' AND t.typnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')) x)
)::text AS catalogue
