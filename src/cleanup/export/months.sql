SELECT count(*) FILTER (WHERE is_due) AS rows,
       count(DISTINCT date_trunc('month', a.created_at AT TIME ZONE 'UTC')) FILTER (WHERE is_due) AS months,
       to_char(min(a.created_at) FILTER (WHERE is_due) AT TIME ZONE 'UTC', 'YYYY-MM') AS oldest,
       -- No folder year=…/month=… is theirs.
       count(*) FILTER (WHERE NOT isfinite(a.created_at) OR a.created_at < '0001-01-01T00:00:00Z'::timestamptz) AS stay,
       (SELECT count(*) FROM markenmate.export e WHERE e.archive = %ARCHIVE_NAME% AND e.state = 'writing') AS begun
  FROM (SELECT u.created_at, u.created_at < %BEFORE% AND u.created_at >= '0001-01-01T00:00:00Z'::timestamptz AS is_due
          FROM (SELECT h.created_at FROM markenmate.%ARCHIVE% h%LIVE%) u) a
