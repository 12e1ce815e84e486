-- Announced before the run that is at work began, if one is: whoever announced it did not end. A run whose beginning may
-- not be seen is given the benefit of the doubt.
SELECT format('markenmate.%I', e.archive) AS subject,
       format('an export into %s on %s began at %s and did not end: the %s row(s) of %s file(s) are in the archive still, and maybe in a file '
              'there as well; it is gone on with on that host', e.folder, coalesce(nullif(e.host, ''), '?'),
              to_char(min(e.began_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), sum(e.rows), count(*)) AS detail,
       format('markenmate cleanup%s --export %s',
              CASE e.archive WHEN 'audit_log_archive' THEN ' audit' WHEN 'app_log_archive' THEN ' app-log' END,
              -- As one word of sh.
              CASE WHEN e.folder ~ '^[A-Za-z0-9_./:@%+,-]+$' THEN e.folder
                   ELSE '''' || replace(e.folder, '''', '''\''''') || '''' END) AS remedy
  FROM markenmate.export e
 WHERE e.state = 'writing'
   AND NOT EXISTS (SELECT FROM pg_locks l LEFT JOIN pg_stat_activity s ON s.pid = l.pid
                    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = 1835102827 AND l.objid = 1668048225
                      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                      AND coalesce(s.backend_start <= e.began_at, true))
 GROUP BY e.archive, e.folder, e.host
 ORDER BY e.archive, e.folder, e.host
