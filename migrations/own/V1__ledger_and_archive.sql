-- What the tool keeps for itself, outside the schema that the app's push looks after.

-- The app's history: refinery's four columns; the others fill themselves from the run's transaction.
CREATE TABLE markenmate.refinery_schema_history (
    version integer PRIMARY KEY,
    name varchar(255),
    applied_on varchar(255),
    checksum varchar(255),
    adopted boolean DEFAULT coalesce(current_setting('markenmate.adopted', true) = 'on', false) NOT NULL,
    run_id uuid DEFAULT nullif(current_setting('markenmate.run_id', true), '')::uuid,
    transaction_id text DEFAULT pg_current_xact_id()::text NOT NULL,
    applied_by text DEFAULT session_user NOT NULL
);
COMMENT ON TABLE markenmate.refinery_schema_history IS 'Versions of the application''s schema, kept by markenmate';

-- One row a run that changed something: who, why, with what.
CREATE TABLE markenmate.run (
    run_id uuid PRIMARY KEY,
    command text NOT NULL,
    tool_version text NOT NULL,
    database_user text DEFAULT session_user NOT NULL,
    client_address inet DEFAULT inet_client_addr(),
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    transaction_id text DEFAULT pg_current_xact_id()::text NOT NULL,
    reason text,
    approved_by text
);
COMMENT ON TABLE markenmate.run IS 'Runs of markenmate that changed something';

-- Audit rows that left public.audit_log: its columns in its order, then two of our own.
-- No foreign keys: the archive outlives its users.
CREATE TABLE markenmate.audit_log_archive (
    id integer NOT NULL,
    user_id text NOT NULL,
    action text NOT NULL,
    target_user_id text,
    metadata text,
    ip_address text,
    user_agent text,
    correlation_id text,
    created_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone DEFAULT now() NOT NULL,
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
COMMENT ON TABLE markenmate.audit_log_archive IS 'Audit rows moved out of public.audit_log by markenmate';

-- Whoever could dump the whole database before can do so afterwards: a role other than the owner
-- that may read every table in public reads what is ours as well.
DO $$
DECLARE reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
          FROM pg_class c
         CROSS JOIN aclexplode(c.relacl) acl
          LEFT JOIN pg_roles r ON r.oid = acl.grantee
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND acl.privilege_type = 'SELECT' AND acl.grantee <> c.relowner
           AND NOT EXISTS (SELECT FROM pg_class t
                            WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
                              AND NOT has_table_privilege(acl.grantee, t.oid, 'SELECT'))
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA markenmate TO %s', reader);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA markenmate TO %s', reader);
        EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA markenmate TO %s', reader);
    END LOOP;
END
$$;
