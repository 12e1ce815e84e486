-- What others have built on what goes would be dropped along, or go on reading what was set aside.
DO $dependents$
DECLARE
    found text := (SELECT string_agg(format('%s %s', d.what, d.subject), ', ') FROM (
%DEPENDENTS%
                   ) d);
BEGIN
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'others have built on what would be taken back: %; nothing was changed', found
              USING HINT = 'markenmate rollback --dry-run says what takes each away';
    END IF;
END
$dependents$
