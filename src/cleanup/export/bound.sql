-- Whoever is putting a row into the archive is waited for: whoever comes later gets a higher number.
LOCK TABLE markenmate.%ARCHIVE% IN SHARE MODE;
%LAST_NUMBER%
