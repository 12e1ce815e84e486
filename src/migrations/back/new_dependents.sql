-- Rows of this transaction and later ones, as for what was copied. Whatever hangs on a table or its columns says so
-- with the table's oid, or its row type's.
SELECT EXISTS (
    SELECT FROM pg_depend d
     WHERE age(d.xmin) <= age(current_setting('markenmate.copied_at')::xid8::xid)
       AND (d.refclassid, d.refobjid) IN (
               SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class c
                WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN (%TABLES%)
                UNION ALL
               SELECT 'pg_type'::regclass, x.oid FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
                CROSS JOIN LATERAL (VALUES (t.oid), (t.typarray)) x(oid)
                WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN (%TABLES%)))
