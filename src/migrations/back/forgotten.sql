-- Where it is kept whom rows were about whose user is gone by now: the application's key takes no such user. Whoever
-- reads what is kept reads this as well.
DO $$
DECLARE
    reader text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work' USING ERRCODE = 'lock_not_available';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('markenmate_quarantine') AND relname = %FORGOTTEN_NAME%) THEN
        CREATE TABLE markenmate_quarantine.%FORGOTTEN_IN% (id bigint PRIMARY KEY, target_user_id text NOT NULL);
        COMMENT ON TABLE markenmate_quarantine.%FORGOTTEN_IN% IS 'Rows of public.audit_log by their id, and the users whom they were about, who are gone';
        FOR reader IN
            SELECT DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
              FROM pg_class c CROSS JOIN aclexplode(c.relacl) x
             WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relname = %NAME%
               AND x.privilege_type = 'SELECT' AND x.grantee <> c.relowner
        LOOP
            EXECUTE format('GRANT SELECT ON markenmate_quarantine.%I TO %s', %FORGOTTEN_NAME%, reader);
        END LOOP;
    END IF;
END
$$;
