-- The moment that is dumped, and the database it is of.
SELECT pg_export_snapshot() AS snapshot,
       clock_timestamp() AS taken_at,
       d.oid::text AS oid,
       pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collate,
       d.datctype AS ctype,
       pg_get_userbyid(d.datdba) AS owner,
       pg_database_size(d.oid)::text AS bytes,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn()::text END AS lsn
  FROM pg_database d
 WHERE d.datname = current_database()
