-- The master admin's flag returns before the guards are put up, to whoever still is an admin; from version 3
-- on only where that leaves no doubt.
DO $$
DECLARE
    part record;
    fitting bigint;
    moved bigint;
BEGIN
    FOR part IN
        SELECT s.name FROM markenmate.set_aside s
         WHERE s.state IN ('kept', 'returning') AND s.of_table = 'user' AND s.of_column = 'is_master_admin'
         ORDER BY s.set_aside_at, s.name
    LOOP
        EXECUTE format('SELECT count(*) FROM markenmate_quarantine.%I q JOIN public."user" t ON t.id = q.id WHERE %s',
                       part.name, %FITS%) INTO fitting;
        CONTINUE WHEN fitting = 0 OR fitting > 1 AND %GUARDED%;
        EXECUTE format('WITH taken AS (DELETE FROM markenmate_quarantine.%I q USING public."user" t
                                        WHERE t.id = q.id AND %s RETURNING q.id)
                        UPDATE public."user" u SET is_master_admin = true FROM taken k WHERE u.id = k.id', part.name, %FITS%);
        GET DIAGNOSTICS moved = ROW_COUNT;
        UPDATE markenmate.set_aside SET returned = returned + moved WHERE name = part.name;
    END LOOP;
END
$$;
