-- From here on what is kept is on its way back. Sequences go on where they were, or beyond: no new row of the
-- application's takes an id that is to return.
DO $$
DECLARE
    part record;
    own text;
    kept text;
    here bigint;
    there bigint;
BEGIN
    FOR part IN
        SELECT s.name, s.of_table FROM markenmate.set_aside s
         WHERE s.state = 'kept' AND s.version <= %TARGET% AND s.of_column IS NULL
    LOOP
        own := pg_get_serial_sequence(format('public.%I', part.of_table), 'id');
        kept := pg_get_serial_sequence(format('markenmate_quarantine.%I', part.name), 'id');
        CONTINUE WHEN own IS NULL;
        EXECUTE format('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %s', own) INTO here;
        -- Where the kept one stood, wherever ids are that somebody chose: beyond the last one nothing would go on.
        IF kept IS NOT NULL THEN
            EXECUTE format('SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %s', kept) INTO there;
        ELSE
            EXECUTE format('SELECT coalesce(max(id), 0) FROM markenmate_quarantine.%I', part.name) INTO there;
        END IF;
        -- Where the application uses it already, it may take some while we look.
        IF there > here THEN
            PERFORM setval(own, there + CASE WHEN here = 0 OR there + 1000 > seqmax THEN 0 ELSE 1000 END)
               FROM pg_sequence WHERE seqrelid = own::regclass;
        END IF;
    END LOOP;
    UPDATE markenmate.set_aside SET state = 'returning' WHERE state = 'kept' AND version <= %TARGET%;
END
$$;
