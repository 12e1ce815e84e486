-- Is there a ledger, and may we write into it? A list of privileges would ask for any one of them; a
-- schema that we may not use hides what is in it.
SELECT CASE WHEN has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE')
            THEN coalesce(has_table_privilege(to_regclass('markenmate.ledger')::oid, 'SELECT')
                          AND has_table_privilege(to_regclass('markenmate.ledger')::oid, 'INSERT'), false)
            ELSE false END AS writable;
