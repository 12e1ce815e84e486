SELECT count(*) AS rows, count(DISTINCT date_trunc('month', a.created_at AT TIME ZONE 'UTC')) AS months,
       to_char(min(a.created_at) AT TIME ZONE 'UTC', 'YYYY-MM') AS oldest
  FROM markenmate.%ARCHIVE% a
 WHERE a.created_at < %BEFORE% AND a.created_at >= '0001-01-01T00:00:00Z'::timestamptz
