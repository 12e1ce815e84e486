-- Whoever is putting a row into the archive is waited for: whoever comes later gets a higher number.
LOCK TABLE markenmate.%ARCHIVE% IN SHARE MODE;
SELECT coalesce(max(a.archive_id), 0) AS bound FROM markenmate.%ARCHIVE% a
