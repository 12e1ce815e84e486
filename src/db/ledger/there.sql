-- Is there a ledger, and may we write into it? A list of privileges would ask for any one of them; a
-- schema that we may not use hides what is in it. UPDATE is what its lock takes.
SELECT CASE WHEN to_regnamespace('markenmate') IS NULL THEN 'absent'
            WHEN NOT has_schema_privilege(to_regnamespace('markenmate')::oid, 'USAGE') THEN 'denied'
            WHEN to_regclass('markenmate.ledger') IS NULL THEN 'absent'
            WHEN has_table_privilege(to_regclass('markenmate.ledger')::oid, 'SELECT')
             AND has_table_privilege(to_regclass('markenmate.ledger')::oid, 'INSERT')
             AND has_table_privilege(to_regclass('markenmate.ledger')::oid, 'UPDATE') THEN 'writable'
            ELSE 'denied' END AS ledger;
