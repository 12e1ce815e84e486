-- What others put beside the rows does not return by itself: said while it is still there.
DO $beside$
DECLARE
    part record;
BEGIN
    FOR part IN
%BESIDE%
    LOOP
        RAISE NOTICE 'does not return by itself, to be run after the next migrate: %', part.statement;
    END LOOP;
END
$beside$
