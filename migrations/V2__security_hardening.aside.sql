-- Before security_hardening is taken back, and before anybody waits for it: the values of its columns that differ
-- from the default are copied, with their keys, under no lock but a reader's. What changes from here on is
-- known by its transaction, and picked up under the locks.
DO $outer$
BEGIN
    -- Nobody's function of the same name is called, whoever runs this; nobody waits long for it.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
    PERFORM set_config('lock_timeout', '50ms', true);
    -- Rows that a policy hides are rows.
    PERFORM set_config('row_security', 'off', true);
    -- The schema may be ours to make, and not the owner's.
    SET LOCAL ROLE NONE;
    IF NOT pg_try_advisory_xact_lock(1835102827, 1835103333) THEN
        RAISE EXCEPTION 'another run of markenmate is at work; nothing was changed, try again';
    ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'at this isolation level nothing is seen of what others write meanwhile; nothing was changed'
              USING HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED';
    END IF;
DECLARE
    suffix constant text := coalesce(nullif(current_setting('markenmate.suffix', true), ''),
                                     '_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISSMS'));
    owner constant name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"'));
    by_us constant boolean := has_database_privilege(current_database(), 'CREATE');
    recorded boolean := false;
    missing text;
    part record;
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'there is no public."user": this is not the application''s database; nothing was changed';
    ELSIF owner <> (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'markenmate_quarantine') THEN
        RAISE EXCEPTION 'schema markenmate_quarantine does not belong to %; nothing was changed', owner;
    END IF;
    IF by_us AND to_regnamespace('markenmate_quarantine') IS NULL THEN
        EXECUTE format('CREATE SCHEMA markenmate_quarantine AUTHORIZATION %I', owner);
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', owner);
    IF to_regnamespace('markenmate_quarantine') IS NULL THEN
        CREATE SCHEMA markenmate_quarantine;
    END IF;

    IF to_regclass('markenmate.refinery_schema_history') IS NOT NULL THEN
        EXECUTE 'SELECT count(*) > 0 FROM markenmate.refinery_schema_history WHERE version = 2' INTO recorded;
    END IF;
    IF NOT recorded THEN
        RAISE EXCEPTION 'version 2 is not recorded in this database; nothing was changed'
              USING HINT = 'to see where it stands: markenmate status';
    END IF;
    missing := (SELECT string_agg(format('public.%I%s', v.table_name, '.' || v.column_name), ', ')
                  FROM (VALUES ('user', 'is_master_admin'), ('token_lending', 'version'), ('app_log', 'correlation_id'),
                               ('step_up_token', NULL), ('audit_log', NULL)) v(table_name, column_name)
                 WHERE NOT EXISTS (SELECT FROM pg_attribute a
                                    WHERE a.attrelid = to_regclass(format('public.%I', v.table_name))
                                      AND NOT a.attisdropped AND a.attname = coalesce(v.column_name, 'id')));
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'missing, although version 2 is recorded: %; nothing was changed', missing
              USING HINT = 'a start of the old application drops what it does not know; markenmate verify says what mends it';
    END IF;

    PERFORM set_config('markenmate.suffix', suffix, true);
    PERFORM set_config('markenmate.copied_at', pg_snapshot_xmin(pg_current_snapshot())::text, true);
    FOR part IN
        SELECT * FROM (VALUES ('user', 'is_master_admin', 'c.is_master_admin'),
                              ('token_lending', 'version', 'c.version <> 1'),
                              ('app_log', 'correlation_id', 'c.correlation_id IS NOT NULL')
                      ) v(table_name, column_name, differs)
    LOOP
        EXECUTE format('CREATE TABLE markenmate_quarantine.%I AS SELECT c.id, c.%I FROM public.%I c WHERE %s',
                       part.table_name || '_' || part.column_name || suffix, part.column_name, part.table_name, part.differs);
        EXECUTE format('ALTER TABLE markenmate_quarantine.%I ADD PRIMARY KEY (id)',
                       part.table_name || '_' || part.column_name || suffix);
    END LOOP;
END;
END
$outer$
