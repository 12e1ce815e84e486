-- One batch of rows: out of what is kept, into the application's table, at once, and not one of them on the way.
DO $outer$
DECLARE
    candidates bigint[];
    began timestamp with time zone;
    took bigint;
    put_ bigint;
    renumbered_ bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
    candidates := ARRAY(SELECT q.id FROM ONLY markenmate_quarantine.%KEPT% q WHERE q.id > %AFTER% ORDER BY q.id LIMIT %SIZE%);
    began := clock_timestamp();
    WITH taken AS (
        DELETE FROM ONLY markenmate_quarantine.%KEPT% k
         WHERE k.id = ANY (ARRAY(SELECT q.id FROM ONLY markenmate_quarantine.%KEPT% q WHERE q.id = ANY (candidates) AND %FITS%))
        RETURNING k.*
    ), moving AS MATERIALIZED (
        SELECT %ID% AS markenmate_id, k.* FROM taken k
    ), %FORGOTTEN%put AS (
        INSERT INTO public.%TABLE% (%COLUMNS%)
        SELECT %VALUES% FROM moving k
        RETURNING id
    )
    SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM put),
           (SELECT count(*) FROM taken k WHERE EXISTS (SELECT FROM public.%TABLE% p WHERE p.id = k.id))
      INTO took, put_, renumbered_;
    IF took <> put_ THEN
        RAISE EXCEPTION USING ERRCODE = 'MM191',
            MESSAGE = format('%s of %s rows were not taken by %s: a trigger on it swallows them', took - put_, took, %TOLD%),
            HINT = format('ALTER TABLE %s DISABLE TRIGGER USER; then markenmate migrate; then ENABLE it again', %TOLD%);
    END IF;
    UPDATE markenmate.set_aside SET returned = returned + put_, renumbered = renumbered + renumbered_ WHERE name = %NAME%;
    PERFORM set_config('markenmate.batch', json_build_object('last', candidates[cardinality(candidates)],
                'seen', cardinality(candidates), 'returned', put_, 'skipped', 0,
                'held', floor(1000 * extract(epoch FROM clock_timestamp() - began)))::text, true);
END
$outer$;
SELECT b ->> 'last' AS last, b ->> 'seen' AS seen, b ->> 'returned' AS returned, b ->> 'skipped' AS skipped,
       b ->> 'held' AS held
  FROM (SELECT current_setting('markenmate.batch')::json AS b) x;
