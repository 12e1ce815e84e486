-- The first row of a page that is no UTF-8, as an error that names it.
SET LOCAL enable_sort = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = off;
DO $unreadable$
DECLARE
    kept record;
BEGIN
    FOR kept IN
        SELECT a.archive_id, a.id, row_to_json(a)::text AS line FROM markenmate.%ARCHIVE% a
         WHERE a.archive_id > %AFTER% AND %RANGE% ORDER BY a.archive_id LIMIT %SIZE%
    LOOP
        BEGIN
            PERFORM convert_from(convert_to(kept.line, 'SQL_ASCII'), 'UTF8');
        EXCEPTION WHEN character_not_in_repertoire THEN
            RAISE EXCEPTION USING ERRCODE = '22021',
                MESSAGE = format('markenmate.%ARCHIVE%: the row with archive_id %s (id %s) has a byte that is no UTF-8', kept.archive_id, kept.id);
        END;
    END LOOP;
END
$unreadable$
