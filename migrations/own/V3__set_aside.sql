-- What a rollback took out of public, table by table in markenmate_quarantine, until `migrate` has brought it back
-- or `cleanup set-aside` drops it. Forward only.
CREATE TABLE markenmate.set_aside (
    -- Of the table in markenmate_quarantine.
    name text PRIMARY KEY,
    -- The version that was taken back.
    version integer NOT NULL,
    of_table text NOT NULL,
    -- None: the whole table; else that column's values, where they differ from its default.
    of_column text,
    set_aside_at timestamp with time zone NOT NULL DEFAULT now(),
    run_id text,
    -- kept, returning, returned, dropped; left: what could not return is still there.
    state text NOT NULL DEFAULT 'kept',
    returned bigint NOT NULL DEFAULT 0,
    renumbered bigint NOT NULL DEFAULT 0,
    finished_at timestamp with time zone
);
COMMENT ON TABLE markenmate.set_aside IS 'What a rollback keeps in markenmate_quarantine, and what became of it';

-- As in V2: nobody but the owner writes here, and whoever could dump the whole database still can.
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT DISTINCT acl.privilege_type AS privilege,
               CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
          FROM pg_class c CROSS JOIN aclexplode(c.relacl) acl
         WHERE c.oid = 'markenmate.set_aside'::regclass AND acl.grantee <> c.relowner AND acl.privilege_type <> 'SELECT'
    LOOP
        EXECUTE format('REVOKE %s ON markenmate.set_aside FROM %s CASCADE', held.privilege, held.grantee);
    END LOOP;
    FOR held IN
        SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
          FROM pg_class c
         CROSS JOIN aclexplode(c.relacl) acl
          LEFT JOIN pg_roles r ON r.oid = acl.grantee
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND acl.privilege_type = 'SELECT' AND acl.grantee <> c.relowner
           AND NOT EXISTS (SELECT FROM pg_class t
                            WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
                              AND NOT has_table_privilege(acl.grantee, t.oid, 'SELECT'))
    LOOP
        EXECUTE format('GRANT SELECT ON markenmate.set_aside TO %s', held.grantee);
    END LOOP;
END
$$;
