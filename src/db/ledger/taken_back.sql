-- What was done last to the versions of the application's schema.
SELECT l.command, to_char(l.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at,
       concat_ws(', ', l.os_user || coalesce('@' || l.host, ''), 'as ' || l.database_user) AS by, l.reason
  FROM markenmate.ledger l
 WHERE l.outcome = 'done' AND (l.command IN ('migrate', 'rollback') OR starts_with(l.command, 'util down'))
 ORDER BY l.number DESC LIMIT 1
