-- What is in the file, read back, leaves the archive: just that, and all of it.
DO $export$
DECLARE
    gone_rows bigint;
    gone_checksum numeric;
BEGIN
    INSERT INTO markenmate.gate (reason) VALUES ('cleanup --export');
    WITH gone AS (
        DELETE FROM markenmate.%ARCHIVE% a WHERE %RANGE% RETURNING hashtextextended(row_to_json(a)::text, 0) AS hash
    )
    SELECT count(*), coalesce(sum(hash), 0) INTO gone_rows, gone_checksum FROM gone;
    IF gone_rows <> %ROWS% OR gone_checksum <> %CHECKSUM% THEN
        RAISE EXCEPTION USING ERRCODE = 'MM193',
            MESSAGE = format('the archive has %s rows of it with checksum %s, the file has %s with %s',
                             gone_rows, gone_checksum, %ROWS%, %CHECKSUM%);
    END IF;
    UPDATE markenmate.export SET state = 'done', finished_at = clock_timestamp(), bytes = %BYTES%, sha256 = %SHA256%
     WHERE folder = %FOLDER% AND name = %NAME% AND state = 'writing';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody announced it in markenmate.export' USING ERRCODE = 'MM193';
    END IF;
END
$export$
