-- Since the guards that count were put up, but for a day at least: two conflicts in a first hour are not 48 a day.
WITH guarded AS (
    SELECT min(applied_on::timestamptz) AS since FROM markenmate.refinery_schema_history
     WHERE version = 3 AND applied_on ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
)
SELECT CASE WHEN c.is_called THEN c.last_value ELSE 0 END
       / greatest(extract(epoch FROM now() - g.since)::float8 / 86400, 1) AS value
  FROM markenmate.lending_conflicts c, guarded g
 WHERE g.since IS NOT NULL
