-- One batch of values: out of what is kept, into the rows they belong to. Rows that the application has locked are
-- left for the next round. An UPDATE of no row would be a late one to the guards: none is run.
DO $outer$
DECLARE
    candidates bigint[];
    began timestamp with time zone;
    found bigint[];
    fitting bigint;
    took bigint := 0;
    moved bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
    candidates := ARRAY(SELECT q.id FROM ONLY markenmate_quarantine.%KEPT% q WHERE q.id > %AFTER% ORDER BY q.id LIMIT %SIZE%);
    fitting := (SELECT count(*) FROM public.%TABLE% t WHERE t.id = ANY (candidates) AND %FITS%);
    began := clock_timestamp();
    found := ARRAY(SELECT t.id FROM public.%TABLE% t WHERE t.id = ANY (candidates) AND %FITS%
                    ORDER BY t.id FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(found) > 0 THEN
        WITH k AS (
            DELETE FROM ONLY markenmate_quarantine.%KEPT% d WHERE d.id = ANY (found) RETURNING d.id, d.%COLUMN% AS kept
        ), put AS (
            UPDATE public.%TABLE% t SET %COLUMN% = %VALUE% FROM k WHERE t.id = k.id RETURNING t.id
        )
        SELECT (SELECT count(*) FROM k), (SELECT count(*) FROM put) INTO took, moved;
        IF took <> moved THEN
            RAISE EXCEPTION USING ERRCODE = 'MM191',
                MESSAGE = format('%s of %s values were not taken by %s: a trigger on it swallows them', took - moved, took, %TOLD%),
                HINT = format('ALTER TABLE %s DISABLE TRIGGER USER; then markenmate migrate; then ENABLE it again', %TOLD%);
        END IF;
        UPDATE markenmate.set_aside SET returned = returned + moved WHERE name = %NAME%;
    END IF;
    PERFORM set_config('markenmate.batch', json_build_object('last', candidates[cardinality(candidates)],
                'seen', cardinality(candidates), 'returned', moved, 'skipped', greatest(0, fitting - moved),
                'held', floor(1000 * extract(epoch FROM clock_timestamp() - began)))::text, true);
END
$outer$;
SELECT b ->> 'last' AS last, b ->> 'seen' AS seen, b ->> 'returned' AS returned, b ->> 'skipped' AS skipped,
       b ->> 'held' AS held
  FROM (SELECT current_setting('markenmate.batch')::json AS b) x;
