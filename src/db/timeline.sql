-- The timeline of the write-ahead log: another one after each failover. In a statement of its own, as
-- a function that may not be called is refused wherever it is named.
SELECT CASE WHEN NOT pg_is_in_recovery()
             AND has_function_privilege('pg_current_wal_lsn()', 'EXECUTE')
             AND has_function_privilege('pg_walfile_name(pg_lsn)', 'EXECUTE')
            THEN substring(query_to_xml('SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS t', true, true, '')::text
                           FROM '<t>([0-9A-F]+)</t>') END AS timeline
