-- Cleanup: where rows stay whose time in public is over, how far each run came, and which files hold what left
-- the archive. Forward only.

-- Rows that left public.app_log. `level` as text: the app's type may change, or go.
CREATE TABLE markenmate.app_log_archive (
    id integer NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    context text,
    user_id text,
    correlation_id text,
    created_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone DEFAULT now() NOT NULL,
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason text,
    cleanup_id bigint
);
COMMENT ON TABLE markenmate.app_log_archive IS 'Log rows moved out of public.app_log by markenmate';

ALTER TABLE markenmate.audit_log_archive ADD COLUMN cleanup_id bigint;
COMMENT ON COLUMN markenmate.audit_log_archive.cleanup_id IS 'The row of markenmate.cleanup that moved it; null: a trigger kept it';
COMMENT ON COLUMN markenmate.app_log_archive.cleanup_id IS 'The row of markenmate.cleanup that moved it';

-- A run of a job. Its counts are those of its batches, and stand here once it has ended. Of runs that found nothing,
-- one after the other, the latest has a row.
CREATE TABLE markenmate.cleanup (
    cleanup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    run_id text NOT NULL,
    cut_off timestamp with time zone NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    -- When it last did something.
    last_at timestamp with time zone DEFAULT now() NOT NULL,
    -- Null: it is at work, or was ended in the middle.
    finished_at timestamp with time zone,
    -- done; stopped: by --max-duration; ended: in the middle, found by the next run.
    outcome text,
    deleted bigint DEFAULT 0 NOT NULL,
    archived bigint DEFAULT 0 NOT NULL,
    skipped bigint,
    remaining bigint,
    -- The lowest and the highest id.
    first_id bigint,
    last_id bigint,
    -- Of the rows that were moved, in any order: the sum of their hashes.
    checksum numeric DEFAULT 0 NOT NULL
);
COMMENT ON TABLE markenmate.cleanup IS 'Runs of markenmate cleanup';

-- What a run that has not ended did so far: each batch adds its row, with the rows that it moves, so that these are
-- the counts of what was done, whenever the run ended, and no batch is held up by another one's counts.
CREATE TABLE markenmate.cleanup_batch (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cleanup_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    deleted bigint NOT NULL,
    archived bigint NOT NULL,
    -- Of rows that go nowhere; of the others the archive tells.
    first_id bigint,
    last_id bigint
);
COMMENT ON TABLE markenmate.cleanup_batch IS 'Batches of runs of markenmate cleanup that have not ended';

-- A file that holds rows which left an archive. Announced before it is written; done in the transaction that
-- takes its rows out of the archive.
CREATE TABLE markenmate.export (
    -- Below the folder, with the partition's folders.
    name text NOT NULL,
    folder text NOT NULL,
    archive text NOT NULL,
    month date NOT NULL,
    first_archive_id bigint NOT NULL,
    last_archive_id bigint NOT NULL,
    rows bigint NOT NULL,
    checksum numeric NOT NULL,
    bytes bigint,
    sha256 text,
    -- writing, done; given_up: its rows are still in the archive.
    state text DEFAULT 'writing' NOT NULL,
    run_id text NOT NULL,
    host text,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    PRIMARY KEY (folder, name, began_at)
);
COMMENT ON TABLE markenmate.export IS 'Files that markenmate cleanup --export moved rows of the archive into';

-- An archive takes rows and keeps them. Whoever may open the gate may take some out: an erasure, an export.
CREATE FUNCTION markenmate.guard_archive() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM markenmate.gate g
                    WHERE g.transaction_id = pg_current_xact_id_if_assigned() AND g.began_at = now() AND NOT g.closed) THEN
        RAISE EXCEPTION USING ERRCODE = 'MM106',
            MESSAGE = format('%s only takes rows: what is in it stays as it is.', TG_RELID::regclass),
            HINT = 'to move its oldest months into files: markenmate cleanup --export DIR';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER markenmate_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON markenmate.audit_log_archive
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.guard_archive();
CREATE TRIGGER markenmate_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON markenmate.app_log_archive
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.guard_archive();

-- As in V2: nobody but the owner writes here or calls it, and whoever could dump the whole database still can.
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT DISTINCT g.thing, g.privilege_type AS privilege,
               CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS grantee
          FROM (SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass) AS thing,
                       c.relowner AS owner, acl.grantee, acl.privilege_type
                  FROM pg_class c
                 CROSS JOIN aclexplode(c.relacl) acl
                 WHERE c.relnamespace = 'markenmate'::regnamespace
                   AND c.relname IN ('app_log_archive', 'app_log_archive_archive_id_seq', 'cleanup', 'cleanup_cleanup_id_seq',
                                     'cleanup_batch', 'cleanup_batch_batch_id_seq', 'export')
                 UNION ALL
                SELECT format('FUNCTION %s', p.oid::regprocedure), p.proowner, acl.grantee, acl.privilege_type
                  FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
                 WHERE p.oid = 'markenmate.guard_archive()'::regprocedure) g
         WHERE g.grantee <> g.owner AND g.privilege_type <> 'SELECT'
    LOOP
        EXECUTE format('REVOKE %s ON %s FROM %s CASCADE', held.privilege, held.thing, held.grantee);
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
        EXECUTE format('GRANT SELECT ON markenmate.app_log_archive, markenmate.cleanup, markenmate.cleanup_batch, markenmate.export TO %s', held.grantee);
        EXECUTE format('GRANT SELECT ON SEQUENCE markenmate.app_log_archive_archive_id_seq, markenmate.cleanup_cleanup_id_seq, markenmate.cleanup_batch_batch_id_seq TO %s',
                       held.grantee);
    END LOOP;
END
$$;
