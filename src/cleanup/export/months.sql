SELECT count(*) AS rows, count(DISTINCT date_trunc('month', a.created_at AT TIME ZONE 'UTC')) AS months,
       to_char(min(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM') AS oldest,
       (SELECT count(*) FROM markenmate.export e WHERE e.archive = %ARCHIVE_NAME% AND e.state = 'writing') AS begun
  FROM (SELECT h.created_at FROM markenmate.%ARCHIVE% h%LIVE%) a
 WHERE a.created_at < %BEFORE% AND a.created_at >= '0001-01-01T00:00:00Z'::timestamptz
