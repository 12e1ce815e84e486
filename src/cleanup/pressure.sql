-- Who suffers from rows that are deleted faster than they can be followed: standbys that lag, and whoever keeps
-- the server from taking dead rows away. What we may not see is not there.
SELECT format('standby %s is %s s behind', coalesce(nullif(application_name, ''), client_addr::text, pid::text),
              round(extract(epoch FROM replay_lag))) AS what
  FROM pg_stat_replication
 -- Whoever only receives replays nothing, ever.
 WHERE state = 'streaming' AND replay_lsn IS NOT NULL AND replay_lag > %LAG%
 UNION ALL
SELECT format('pid %s (%s as %s) has a snapshot that is %s min old', pid, coalesce(nullif(application_name, ''), '?'), usename,
              round(extract(epoch FROM clock_timestamp() - xact_start) / 60))
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_xmin IS NOT NULL AND backend_type <> 'autovacuum worker'
   AND xact_start < clock_timestamp() - %SNAPSHOT% AND pid <> pg_backend_pid()
 LIMIT 3
