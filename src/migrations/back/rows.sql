-- One batch of rows: out of what is kept, into the application's table, at once.
DO $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
END
$$;
WITH candidate AS MATERIALIZED (
    SELECT q.* FROM markenmate_quarantine.%KEPT% q WHERE q.id > %AFTER% ORDER BY q.id LIMIT %SIZE%
), taken AS (
    DELETE FROM markenmate_quarantine.%KEPT% k
     WHERE k.id = ANY (ARRAY(SELECT q.id FROM candidate q WHERE %FITS%))
    RETURNING k.*
), put AS (
    INSERT INTO public.%TABLE% (%COLUMNS%)
    SELECT %VALUES% FROM taken k
    RETURNING id
), counted AS (
    SELECT (SELECT max(id) FROM candidate) AS last, (SELECT count(*) FROM candidate) AS seen,
           (SELECT count(*) FROM put) AS returned, 0::bigint AS skipped,
           (SELECT count(*) FROM taken k WHERE EXISTS (SELECT FROM public.%TABLE% p WHERE p.id = k.id)) AS renumbered
), told AS (
    UPDATE markenmate.set_aside s SET returned = s.returned + c.returned, renumbered = s.renumbered + c.renumbered
      FROM counted c WHERE s.name = %NAME% RETURNING s.name
)
SELECT c.last::text AS last, c.seen::text AS seen, c.returned::text AS returned, c.skipped::text AS skipped
  FROM counted c, told;
