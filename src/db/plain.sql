-- Our tables hold rows and nothing else. What runs when they are read or written runs with the rights
-- of whoever does so: a trigger, a rule, a view in a table's place, a function in a default or an index
-- would be code of the schema's owner in the hands of, say, a superuser. SET ROLE is no protection: such
-- code can say RESET ROLE.
DO $$
DECLARE
    stranger text := (
        WITH ours AS (
            SELECT c.oid, c.relname, c.relkind
              FROM pg_class c
             WHERE c.relnamespace = to_regnamespace('markenmate')
               AND c.relname IN ('refinery_schema_history', 'refinery_own_history', 'run', 'audit_log_archive')
        )
        SELECT min(what) FROM (
            SELECT format('%I is no plain table', relname) AS what FROM ours WHERE relkind <> 'r'
            UNION ALL
            SELECT format('trigger %I on %I', t.tgname, o.relname)
              FROM ours o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
            UNION ALL
            SELECT format('rule %I on %I', r.rulename, o.relname)
              FROM ours o JOIN pg_rewrite r ON r.ev_class = o.oid WHERE o.relkind = 'r'
            UNION ALL
            SELECT format('%I has children', o.relname) FROM ours o JOIN pg_inherits i ON i.inhparent = o.oid
            UNION ALL
            SELECT format('statistics %I on %I', s.stxname, o.relname)
              FROM ours o JOIN pg_statistic_ext s ON s.stxrelid = o.oid
            UNION ALL
            -- Defaults, indexes and constraints of ours, and the columns' types, that need something
            -- which does not come with PostgreSQL.
            SELECT format('%s needs %s', pg_describe_object(d.classid, d.objid, d.objsubid),
                          pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
              FROM (SELECT 'pg_class'::regclass AS classid, oid FROM ours
                    UNION ALL
                    SELECT d.classid, d.objid
                      FROM ours o
                      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.oid
                     WHERE d.classid IN ('pg_class'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass)
                   ) part
              JOIN pg_depend d ON d.classid = part.classid AND d.objid = part.oid
             WHERE d.refobjid >= 16384
               AND d.refclassid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass,
                                    'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_am'::regclass)
        ) seen);
BEGIN
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'schema markenmate holds more than rows: %', stranger USING ERRCODE = 'MM001';
    END IF;
END
$$