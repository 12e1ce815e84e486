-- Runs the steps of each probe in a transaction of its own within this one, and takes all of it back:
-- a variable outlives that, a row does not. A step that is kept must succeed; any other is taken back
-- at once. Where a lock was not to be had, nothing was found out.
DO $$
DECLARE
    has_gate constant boolean := to_regprocedure('markenmate.open_gate(text)') IS NOT NULL;
    probe jsonb;
    step jsonb;
    matched bigint;
    applies boolean;
    disturbed boolean;
    state text;
    said text;
    seen jsonb;
    results jsonb := '[]';
BEGIN
    FOR probe IN SELECT p FROM jsonb_array_elements(current_setting('markenmate.probes')::jsonb) p LOOP
        seen := '[]';
        BEGIN
            FOR step IN SELECT s FROM jsonb_array_elements(probe) s LOOP
                state := NULL;
                said := NULL;
                matched := 0;
                applies := true;
                BEGIN
                    IF step ->> 'only' IS NOT NULL THEN
                        EXECUTE step ->> 'only' INTO applies;
                    END IF;
                    IF applies AND (has_gate OR step ->> 'kind' <> 'gate') THEN
                        EXECUTE step ->> 'sql';
                        GET DIAGNOSTICS matched = ROW_COUNT;
                    END IF;
                    IF applies AND step ->> 'unless' IS NOT NULL THEN
                        EXECUTE step ->> 'unless' INTO disturbed;
                        IF disturbed THEN
                            RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'somebody changed it meanwhile';
                        END IF;
                    END IF;
                    IF step ->> 'kind' = 'try' THEN
                        RAISE EXCEPTION USING ERRCODE = 'MM999';
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    IF SQLSTATE IN ('55P03', '40P01') THEN
                        RAISE;
                    ELSIF SQLSTATE <> 'MM999' THEN
                        state := SQLSTATE;
                        said := SQLERRM;
                    END IF;
                END;
                seen := seen || jsonb_build_array(jsonb_build_object('state', state, 'said', said, 'rows', matched,
                                                                      'left_out', NOT applies));
                EXIT WHEN state IS NOT NULL AND step ->> 'kind' <> 'try';
            END LOOP;
            RAISE EXCEPTION USING ERRCODE = 'MM999';
        EXCEPTION WHEN SQLSTATE 'MM999' THEN
            results := results || jsonb_build_array(seen);
        END;
    END LOOP;
    PERFORM set_config('markenmate.probed', results::text, true);
END
$$;
SELECT current_setting('markenmate.probed') AS probed;
