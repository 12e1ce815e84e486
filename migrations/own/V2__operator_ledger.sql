-- Who changed what with this tool, each row chained to the one before; and what guards leave behind:
-- transactions that were let past them, conflicts they ended, audit rows of users who are gone.
-- Forward only: no way back takes evidence away.

-- The operator ledger. `hash` is the SHA-256 of all the other columns, the hash before it included
-- (src/db/ledger/hash.sql has the exact text). Rows are written by markenmate alone.
CREATE TABLE markenmate.ledger (
    number bigint PRIMARY KEY,
    recorded_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    command text NOT NULL,
    subject text,
    outcome text NOT NULL,
    detail text,
    tool_version text NOT NULL,
    os_user text,
    host text,
    database_user text NOT NULL,
    client_address text,
    transaction_id text NOT NULL,
    reason text,
    approved_by text,
    previous_hash text NOT NULL,
    hash text NOT NULL
);
COMMENT ON TABLE markenmate.ledger IS 'What was changed with markenmate, by whom and why; each row is chained to the one before';

-- A transaction that may pass the guards of V3: break-glass, an erasure, the tool's own functions. Known
-- by its id and its beginning: ids come again in a database that was restored elsewhere.
CREATE TABLE markenmate.gate (
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    began_at timestamp with time zone NOT NULL DEFAULT now(),
    reason text NOT NULL,
    opened_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    opened_by text NOT NULL DEFAULT session_user,
    closed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (transaction_id, opened_at)
);
COMMENT ON TABLE markenmate.gate IS 'Transactions that were let past the guards, and why';

-- For the guards of V3: one row that whoever may leave the system without an admin updates first: two of them meet there at
-- every isolation level, where a lock and a count would let both pass.
CREATE TABLE markenmate.turn (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    turn bigint NOT NULL DEFAULT 0
);
INSERT INTO markenmate.turn DEFAULT VALUES;
COMMENT ON TABLE markenmate.turn IS 'Changes of admins queue here';

-- A sequence is not taken back with the transaction whose conflict it counts.
CREATE SEQUENCE markenmate.lending_conflicts;
COMMENT ON SEQUENCE markenmate.lending_conflicts IS 'Updates of a lending that came too late';
CREATE SEQUENCE markenmate.step_up_conflicts;
COMMENT ON SEQUENCE markenmate.step_up_conflicts IS 'Step-up tokens that were to be spent once more';

ALTER TABLE markenmate.audit_log_archive ADD COLUMN reason text;
COMMENT ON COLUMN markenmate.audit_log_archive.reason IS 'Why the row left public.audit_log; null: its time was over';

-- Nobody but the owner writes here, whatever privileges new tables are given by default: who may write a
-- gate's row passes the guards, and who may put a trigger here runs code as the owner.
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT DISTINCT g.thing, g.privilege_type AS privilege,
               CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS grantee
          FROM (SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass) AS thing,
                       c.relowner AS owner, acl.grantee, acl.privilege_type
                  FROM pg_class c
                  -- What is taken from a table is taken from its columns.
                  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
                 CROSS JOIN aclexplode(nullif(coalesce(c.relacl, '{}') || coalesce(a.attacl, '{}'), '{}')) acl
                 WHERE c.relnamespace = 'markenmate'::regnamespace AND c.relkind IN ('r', 'S')
                 UNION ALL
                SELECT 'SCHEMA markenmate', n.nspowner, acl.grantee, acl.privilege_type
                  FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) acl
                 WHERE n.nspname = 'markenmate' AND acl.privilege_type = 'CREATE') g
         WHERE g.grantee <> g.owner AND g.privilege_type <> 'SELECT'
    LOOP
        EXECUTE format('REVOKE %s ON %s FROM %s CASCADE', held.privilege, held.thing, held.grantee);
    END LOOP;
END
$$;

-- As in V1: whoever could dump the whole database before can do so afterwards.
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
        EXECUTE format('GRANT SELECT ON markenmate.ledger, markenmate.gate, markenmate.turn TO %s', reader);
        EXECUTE format('GRANT SELECT ON SEQUENCE markenmate.lending_conflicts, markenmate.step_up_conflicts TO %s', reader);
    END LOOP;
END
$$;
