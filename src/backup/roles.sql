-- Whoever owns or was granted something: a restore needs them all. They are the server's, and in no
-- dump of a database.
SELECT DISTINCT r.rolname AS name
  FROM pg_shdepend d
  JOIN pg_roles r ON d.refclassid = 'pg_authid'::regclass AND r.oid = d.refobjid
 WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY 1
