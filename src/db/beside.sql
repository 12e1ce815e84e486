-- What stands beside the rows of tables and columns in `public`, and was put there by others: one statement each,
-- which puts it there again. In the order in which they can be run. Whatever the table would have anew by itself,
-- from its contract and the owner's default privileges, is left out.
WITH leaving AS (
    SELECT c.oid, c.relname AS table_name, c.relowner, c.relkind, a.attnum, a.attname
      FROM (%LEAVING%) v(table_name, column_name)
      JOIN pg_class c ON c.relname = v.table_name AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = v.column_name AND NOT a.attisdropped
     WHERE v.column_name IS NULL OR a.attnum IS NOT NULL
), known(kind, table_name, name) AS (
    VALUES %KNOWN%
), relation AS (
    -- Tables, and the sequences of their columns.
    SELECT l.oid, l.table_name, l.table_name AS own_name, l.relowner, 'TABLE' AS kind, 'r'::"char" AS default_kind, 'r'::"char" AS acl_kind
      FROM leaving l WHERE l.attnum IS NULL
     UNION ALL
    SELECT s.oid, l.table_name, s.relname, s.relowner, 'SEQUENCE', 'S'::"char", 's'::"char"
      FROM leaving l
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = l.oid AND d.refobjsubid > 0
                      AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
     WHERE l.attnum IS NULL
), columns AS (
    SELECT l.oid, l.table_name, l.relowner, a.attnum, a.attname, l.attnum IS NULL AS whole, a.attacl, a.attoptions, a.attstorage,
           a.atttypid, a.attstattarget, a.atttypmod, a.attcollation, a.attnotnull, a.attgenerated, a.attidentity
      FROM leaving l JOIN pg_attribute a ON a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE a.attnum = coalesce(l.attnum, a.attnum)
), held AS (
    SELECT r.oid, x.grantee, x.privilege_type AS privilege, bool_or(x.is_grantable) AS grantable
      FROM relation r JOIN pg_class c ON c.oid = r.oid CROSS JOIN aclexplode(coalesce(c.relacl, acldefault(r.acl_kind, r.relowner))) x
     GROUP BY 1, 2, 3
), given AS (
    -- The owner's default privileges: those of the database stand for the server's own, those of the schema come on top.
    SELECT r.oid, x.grantee, x.privilege_type AS privilege, x.is_grantable AS grantable
      FROM relation r CROSS JOIN aclexplode(coalesce((SELECT d.defaclacl FROM pg_default_acl d
                                                        WHERE d.defaclrole = r.relowner AND d.defaclnamespace = 0 AND d.defaclobjtype = r.default_kind),
                                                      acldefault(r.acl_kind, r.relowner))) x
     UNION
    SELECT r.oid, x.grantee, x.privilege_type, x.is_grantable
      FROM relation r JOIN pg_default_acl d ON d.defaclrole = r.relowner AND d.defaclnamespace = 'public'::regnamespace AND d.defaclobjtype = r.default_kind
     CROSS JOIN aclexplode(d.defaclacl) x
     UNION
    -- What V2 grants to whoever may do the same on every table of the application's.
    SELECT r.oid, x.grantee, x.privilege_type, false
      FROM relation r
      JOIN pg_class c ON c.relnamespace = 'public'::regnamespace
                     AND c.relname = CASE r.kind WHEN 'TABLE' THEN 'token_lending' ELSE 'token_lending_id_seq' END
     CROSS JOIN aclexplode(c.relacl) x
      LEFT JOIN pg_roles g ON g.oid = x.grantee
     WHERE %GIVES% AND x.grantee <> c.relowner AND (x.grantee = 0 OR g.oid IS NOT NULL)
       AND x.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_class t
                        WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
                          AND t.relname IN ('account', 'app_log', 'db_backup', 'demo_data', 'favorite', 'menu_item',
                                            'order_history', 'order_history_item', 'restaurant', 'session', 'ticket',
                                            'ticket_comment', 'token_lending', 'user', 'verification')
                          AND NOT has_table_privilege(coalesce(g.rolname, 'public'), t.oid,
                                      CASE x.privilege_type WHEN 'USAGE' THEN 'INSERT' ELSE x.privilege_type END))
), found(rank, kind, table_name, column_name, subject, statement) AS (
    SELECT 1, 'column', c.table_name, c.attname, format('public.%I.%I', c.table_name, c.attname),
           concat(format('ALTER TABLE public.%I ADD COLUMN %I %s', c.table_name, c.attname, format_type(c.atttypid, c.atttypmod)),
                  (SELECT format(' COLLATE %I.%I', n.nspname, o.collname) FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace
                    WHERE o.oid = c.attcollation AND o.collname <> 'default'),
                  (SELECT format(CASE WHEN c.attgenerated = '' THEN ' DEFAULT %s' ELSE ' GENERATED ALWAYS AS (%s) STORED' END,
                                 pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = c.attnum), ';')
      FROM columns c WHERE c.whole AND ('column', c.table_name, c.attname) NOT IN (SELECT * FROM known)
     UNION ALL
    SELECT 2, 'constraint', l.table_name, NULL, format('constraint %I on public.%I', k.conname, l.table_name),
           format('ALTER TABLE public.%I ADD CONSTRAINT %I %s;', l.table_name, k.conname, pg_get_constraintdef(k.oid))
      FROM leaving l JOIN pg_constraint k ON k.conrelid = l.oid AND k.contype IN ('c', 'u', 'p', 'x', 'f')
     WHERE l.attnum IS NULL AND ('constraint', l.table_name, k.conname) NOT IN (SELECT * FROM known)
     UNION ALL
    SELECT 3, 'index', l.table_name, NULL, format('index %I on public.%I', x.relname, l.table_name), pg_get_indexdef(x.oid) || ';'
      FROM leaving l JOIN pg_index i ON i.indrelid = l.oid JOIN pg_class x ON x.oid = i.indexrelid
     WHERE l.attnum IS NULL AND ('index', l.table_name, x.relname) NOT IN (SELECT * FROM known)
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
     UNION ALL
    SELECT 4, 'rule', l.table_name, NULL, format('rule %I on public.%I', r.rulename, l.table_name), pg_get_ruledef(r.oid)
      FROM leaving l JOIN pg_rewrite r ON r.ev_class = l.oid WHERE l.attnum IS NULL
     UNION ALL
    SELECT 4, 'statistics', l.table_name, NULL, format('statistics %I on public.%I', s.stxname, l.table_name), pg_get_statisticsobjdef(s.oid) || ';'
      FROM leaving l JOIN pg_statistic_ext s ON s.stxrelid = l.oid WHERE l.attnum IS NULL
     UNION ALL
    SELECT 5, 'setting', r.table_name, NULL, format('public.%I', r.own_name), o.statement
      FROM relation r JOIN pg_class c ON c.oid = r.oid
     CROSS JOIN LATERAL (
            SELECT format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY;', r.own_name) WHERE c.relrowsecurity
             UNION ALL
            SELECT format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY;', r.own_name) WHERE c.relforcerowsecurity
             UNION ALL
            SELECT format('ALTER TABLE public.%I REPLICA IDENTITY %s;', r.own_name,
                          CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                               ELSE (SELECT format('USING INDEX %I', x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                                      WHERE i.indrelid = r.oid AND i.indisreplident) END)
             WHERE r.kind = 'TABLE' AND c.relreplident <> 'd'
             UNION ALL
            SELECT format('ALTER TABLE public.%I SET UNLOGGED;', r.own_name) WHERE r.kind = 'TABLE' AND c.relpersistence = 'u'
             UNION ALL
            SELECT format('ALTER TABLE public.%I SET TABLESPACE %I;', r.own_name, t.spcname)
              FROM pg_tablespace t WHERE t.oid = c.reltablespace AND r.kind = 'TABLE'
             UNION ALL
            SELECT format('ALTER TABLE public.%I CLUSTER ON %I;', r.own_name, x.relname)
              FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = r.oid AND i.indisclustered
             UNION ALL
            SELECT format('ALTER TABLE public.%I SET (%s);', r.own_name, string_agg(format('%s%I = %L', p.prefix, p.option_name, p.option_value), ', '))
              FROM (SELECT '' AS prefix, x.* FROM pg_options_to_table(c.reloptions) x
                     UNION ALL
                    SELECT 'toast.', x.* FROM pg_class t CROSS JOIN pg_options_to_table(t.reloptions) x WHERE t.oid = c.reltoastrelid) p
            HAVING count(*) > 0
             UNION ALL
            SELECT format('COMMENT ON %s public.%I IS %L;', r.kind, r.own_name, d.description)
              FROM pg_description d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = r.oid AND d.objsubid = 0) o(statement)
     UNION ALL
    SELECT 6, 'setting', c.table_name, c.attname, format('public.%I.%I', c.table_name, c.attname), o.statement
      FROM columns c
     CROSS JOIN LATERAL (
            -- Its own NOT NULL, where all of it comes anew.
            SELECT format('ALTER TABLE public.%I ALTER COLUMN %I SET NOT NULL;', c.table_name, c.attname)
             WHERE c.whole AND c.attnotnull AND ('column', c.table_name, c.attname) NOT IN (SELECT * FROM known)
             UNION ALL
            SELECT format('ALTER TABLE public.%I ALTER COLUMN %I SET STATISTICS %s;', c.table_name, c.attname, c.attstattarget) WHERE c.attstattarget >= 0
             UNION ALL
            SELECT format('ALTER TABLE public.%I ALTER COLUMN %I SET (%s);', c.table_name, c.attname,
                          (SELECT string_agg(format('%I = %L', x.option_name, x.option_value), ', ') FROM pg_options_to_table(c.attoptions) x))
             WHERE c.attoptions IS NOT NULL
             UNION ALL
            SELECT format('ALTER TABLE public.%I ALTER COLUMN %I SET STORAGE %s;', c.table_name, c.attname,
                          CASE c.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
              FROM pg_type t WHERE t.oid = c.atttypid AND t.typstorage <> c.attstorage
             UNION ALL
            SELECT format('COMMENT ON COLUMN public.%I.%I IS %L;', c.table_name, c.attname, d.description)
              FROM pg_description d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = c.attnum) o(statement)
     UNION ALL
    SELECT 7, 'grant', r.table_name, NULL, format('public.%I', r.own_name),
           format('GRANT %s ON %s public.%I TO %s%s;', string_agg(h.privilege, ', ' ORDER BY h.privilege), r.kind, r.own_name,
                  CASE WHEN h.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(h.grantee)) END,
                  CASE WHEN h.grantable AND h.grantee <> r.relowner THEN ' WITH GRANT OPTION' END)
      FROM relation r JOIN held h ON h.oid = r.oid
     WHERE NOT EXISTS (SELECT FROM given g WHERE g.oid = h.oid AND g.grantee = h.grantee AND g.privilege = h.privilege
                          AND (g.grantable OR NOT h.grantable))
     GROUP BY r.table_name, r.own_name, r.kind, r.relowner, h.grantee, h.grantable
     UNION ALL
    SELECT 7, 'grant', c.table_name, c.attname, format('public.%I.%I', c.table_name, c.attname),
           format('GRANT %s ON TABLE public.%I TO %s%s;', string_agg(format('%s (%I)', x.privilege_type, c.attname), ', ' ORDER BY x.privilege_type),
                  c.table_name, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                  CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END)
      FROM columns c CROSS JOIN aclexplode(c.attacl) x
     GROUP BY c.table_name, c.attname, x.grantee, x.is_grantable
     UNION ALL
    SELECT 8, 'revoke', r.table_name, NULL, format('public.%I', r.own_name),
           format('REVOKE %s ON %s public.%I FROM %s;', string_agg(DISTINCT g.privilege, ', ' ORDER BY g.privilege), r.kind, r.own_name,
                  CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
      FROM relation r JOIN given g ON g.oid = r.oid
     WHERE NOT EXISTS (SELECT FROM held h WHERE h.oid = g.oid AND h.grantee = g.grantee AND h.privilege = g.privilege)
     GROUP BY r.table_name, r.own_name, r.kind, g.grantee
)
SELECT kind, table_name, column_name, subject, statement FROM found
 ORDER BY rank, table_name COLLATE "C", subject COLLATE "C", statement COLLATE "C"
