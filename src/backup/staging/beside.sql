-- Databases that are named like those into which a restore restores, and whether one is at work.
SELECT d.datname AS name,
       pg_get_userbyid(d.datdba) AS owner,
       pg_has_role(d.datdba, 'USAGE') AS ours,
       coalesce(shobj_description(d.oid, 'pg_database'), '') AS comment,
       NOT d.datallowconn AS closed,
       EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = %RESTORE%
                  AND l.objid::text = substring(d.datname FROM '_restoring_([0-9]+)_[0-9a-f]{8}$')) AS at_work
  FROM pg_database d
 WHERE d.datname ~ '_restoring_[0-9]+_[0-9a-f]{8}$'
 ORDER BY 1
