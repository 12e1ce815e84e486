-- The app's list of backups, as the app made it. What somebody else put there would run with our
-- rights, as it would in the table of users that is read for it, and SET ROLE is no boundary: only where
-- there is nothing of that kind a row is written. The lock keeps it so until then.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.db_backup') AND relkind = 'r') THEN
        LOCK TABLE public.db_backup IN ROW EXCLUSIVE MODE;
    END IF;
END
$$;
WITH both_ AS (
    SELECT c.oid, c.relname, c.relkind, c.relispartition, c.relrowsecurity, c.relam
      FROM pg_class c WHERE c.oid IN (to_regclass('public.db_backup'), to_regclass('public."user"'))
),
strange AS (
    SELECT FROM both_ WHERE relkind <> 'r' OR relispartition OR relrowsecurity OR relam >= 16384
    UNION ALL
    SELECT FROM both_ o JOIN pg_inherits i ON o.oid IN (i.inhparent, i.inhrelid)
    UNION ALL
    SELECT FROM both_ o JOIN pg_rewrite r ON r.ev_class = o.oid
    UNION ALL
    SELECT FROM both_ o JOIN pg_statistic_ext s ON s.stxrelid = o.oid
     WHERE to_jsonb(s) ->> 'stxexprs' IS NOT NULL
    UNION ALL
    SELECT FROM both_ o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR x.relam >= 16384
        OR EXISTS (SELECT FROM unnest(i.indclass::oid[]) class WHERE class >= 16384)
    UNION ALL
    -- Of the table that is written only.
    SELECT FROM both_ o JOIN pg_trigger t ON t.tgrelid = o.oid
     WHERE o.relname = 'db_backup' AND NOT t.tgisinternal
    UNION ALL
    SELECT FROM both_ o JOIN pg_constraint k ON k.conrelid = o.oid
     WHERE o.relname = 'db_backup' AND k.contype NOT IN ('p', 'u', 'n', 'f')
    UNION ALL
    SELECT FROM both_ o
      JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum
     WHERE o.relname = 'db_backup'
       AND (t.oid >= 16384 OR t.typtype <> 'b' OR a.attgenerated <> ''
            OR EXISTS (SELECT FROM regexp_matches(d.adbin::text, ':(?:func|opfunc|op)(?:id|no) (\d+)', 'g') called
                         LEFT JOIN pg_proc p ON p.oid = called[1]::oid
                        WHERE p.proname IS NULL OR p.oid >= 16384 OR p.proname NOT IN ('nextval', 'now', 'int4')))
)
SELECT pg_get_userbyid(relowner) AS owner,
       pg_get_userbyid(relowner) = current_user AS ours,
       NOT EXISTS (SELECT FROM strange) AS plain
  FROM pg_class
 WHERE oid = to_regclass('public.db_backup')
