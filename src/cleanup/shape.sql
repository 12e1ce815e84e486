    BEGIN
        IF (SELECT ARRAY[%PRESENT%] FROM (SELECT * FROM ONLY %TABLE% WHERE false UNION ALL SELECT %EMPTY%) s(%NAMES%))
           <> ARRAY[%PLANNED%] THEN
            RAISE datatype_mismatch;
        END IF;
    EXCEPTION WHEN syntax_error OR datatype_mismatch OR undefined_object THEN
        -- A column that was added since is in no plan, and would be lost.
        RAISE EXCEPTION USING ERRCODE = 'MM194', MESSAGE = format('%s got another shape meanwhile', %TOLD%),
            HINT = 'run it again: it sees the columns as they are then';
    END;
