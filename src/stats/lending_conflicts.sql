-- A sequence that was never used says 1, too. The rate is since the guards that count were put up, but for a day at
-- least: two conflicts in a first hour are not 48 a day.
WITH counted AS (
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM markenmate.lending_conflicts
), guarded AS (
    SELECT min(applied_on::timestamptz) AS since FROM markenmate.refinery_schema_history
     WHERE version = 3 AND applied_on ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
)
SELECT 'version-conflicts' AS metric, n::float8 AS value FROM counted
UNION ALL
SELECT 'version-conflict-rate', n / greatest(extract(epoch FROM now() - since)::float8 / 86400, 1)
  FROM counted, guarded
 WHERE since IS NOT NULL
