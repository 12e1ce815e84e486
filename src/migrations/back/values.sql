-- One batch of values: out of what is kept, into the rows they belong to. Rows that the application has locked are
-- left for the next round. An UPDATE of no row would be a late one to the guards: none is run.
DO $outer$
DECLARE
    candidates %TYPE%[];
    found %TYPE%[];
    fitting bigint;
    moved bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
    candidates := ARRAY(SELECT q.id FROM markenmate_quarantine.%KEPT% q WHERE q.id > %AFTER% ORDER BY q.id LIMIT %SIZE%);
    fitting := (SELECT count(*) FROM public.%TABLE% t WHERE t.id = ANY (candidates) AND %FITS%);
    found := ARRAY(SELECT t.id FROM public.%TABLE% t WHERE t.id = ANY (candidates) AND %FITS%
                    ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(found) > 0 THEN
        WITH k AS (
            DELETE FROM markenmate_quarantine.%KEPT% d WHERE d.id = ANY (found) RETURNING d.id, d.%COLUMN% AS kept
        )
        UPDATE public.%TABLE% t SET %COLUMN% = %VALUE% FROM k WHERE t.id = k.id;
        GET DIAGNOSTICS moved = ROW_COUNT;
        UPDATE markenmate.set_aside SET returned = returned + moved WHERE name = %NAME%;
    END IF;
    PERFORM set_config('markenmate.batch', json_build_object('last', candidates[cardinality(candidates)],
                'seen', cardinality(candidates), 'returned', moved, 'skipped', greatest(0, fitting - moved))::text, true);
END
$outer$;
SELECT b ->> 'last' AS last, b ->> 'seen' AS seen, b ->> 'returned' AS returned, b ->> 'skipped' AS skipped
  FROM (SELECT current_setting('markenmate.batch')::json AS b) x;
