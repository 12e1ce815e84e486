-- Databases that a restore of this one has put aside, by their names, and who is connected to them. The time in
-- them is to the second, or to the millisecond.
SELECT d.datname AS name, pg_database_size(d.oid)::text AS bytes,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend')::text AS sessions
  FROM pg_database d
 WHERE d.datname LIKE %PATTERN% AND d.datname ~ '_[0-9]{14}([0-9]{3})?$' AND pg_has_role(d.datdba, 'USAGE')
 ORDER BY d.datname
