-- What the application checks with a read and then a write, kept by the database itself. In public there
-- are triggers only: the app's push leaves them alone. Their functions read the hardened columns through
-- to_jsonb: once an older app's push has dropped a column they fall silent instead of breaking updates.
--
-- SQLSTATEs: MM101 the master admin is protected, MM102 the last admin stays, MM103 the flag moves through
-- markenmate.set_master_admin only, MM104 a lending's version, MM105 TRUNCATE; 40001 where somebody else
-- was faster.

CREATE FUNCTION markenmate.is_open() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT EXISTS (SELECT FROM markenmate.gate g
                        WHERE g.transaction_id = pg_current_xact_id_if_assigned()
                          AND g.began_at = now() AND NOT g.closed)
    $$;
COMMENT ON FUNCTION markenmate.is_open() IS 'Whether this transaction may pass the guards';

-- For this transaction only. Whoever may call it may do anything to the application's users.
CREATE FUNCTION markenmate.open_gate(reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF coalesce(open_gate.reason !~ '\S', true) THEN
        RAISE EXCEPTION 'The gate is opened for a reason.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO markenmate.gate (reason) VALUES (open_gate.reason);
END
$$;
COMMENT ON FUNCTION markenmate.open_gate(text) IS 'Lets this transaction pass the guards; the reason is kept';

CREATE FUNCTION markenmate.close_gate() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        UPDATE markenmate.gate SET closed = true
         WHERE transaction_id = pg_current_xact_id() AND began_at = now()
    $$;
COMMENT ON FUNCTION markenmate.close_gate() IS 'The guards hold again for the rest of this transaction';

CREATE FUNCTION markenmate.guard_admins() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    will jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    was_admin boolean := coalesce(was ->> 'role' = 'admin', false);
    was_master boolean := coalesce(was ->> 'is_master_admin' = 'true', false);
    is_admin boolean := coalesce(will ->> 'role' = 'admin', false);
    is_master boolean := coalesce(will ->> 'is_master_admin' = 'true', false);
    -- Another id is another user: whoever had the old one is gone.
    goes boolean := TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND was ->> 'id' <> will ->> 'id';
BEGIN
    -- A master who is no admin was made past the guards: nothing else of such a row is frozen.
    IF was_admin AND NOT is_admin OR was_master <> is_master OR was_master AND goes THEN
        -- Once a transaction; a row that is gone comes back.
        IF NOT EXISTS (SELECT FROM markenmate.turn t WHERE t.xmin = pg_current_xact_id()::xid) THEN
            INSERT INTO markenmate.turn AS t DEFAULT VALUES ON CONFLICT (only_one) DO UPDATE SET turn = t.turn + 1;
        END IF;
        IF (was_master OR is_master) AND NOT markenmate.is_open() THEN
            IF was_master AND (goes OR was_admin AND NOT is_admin) THEN
                RAISE EXCEPTION USING ERRCODE = 'MM101',
                    MESSAGE = 'Cannot demote the master admin. This is a protected account.',
                    HINT = 'to hand it on: markenmate set-master-admin USER --transfer';
            ELSIF was_master AND NOT is_master THEN
                RAISE EXCEPTION USING ERRCODE = 'MM103',
                    MESSAGE = 'The master admin''s flag is not taken away by hand.',
                    HINT = 'to hand it on: markenmate set-master-admin USER --transfer';
            ELSIF is_master AND NOT was_master AND NOT is_admin THEN
                RAISE EXCEPTION USING ERRCODE = 'MM103', MESSAGE = 'The master admin must be an admin.',
                    HINT = 'first: markenmate admin promote USER --as ADMIN';
            ELSIF is_master AND NOT was_master THEN
                -- By itself: the column is looked for when this statement is reached, and not before.
                IF EXISTS (SELECT FROM public."user" u WHERE u.id <> will ->> 'id' AND u.is_master_admin) THEN
                    RAISE EXCEPTION USING ERRCODE = 'MM103', MESSAGE = 'There is a master admin already.',
                        HINT = 'to hand it on: markenmate set-master-admin USER --transfer';
                END IF;
            END IF;
        END IF;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;

-- For each row that was an admin's, after the whole statement: of several that it takes, one must be left.
CREATE FUNCTION markenmate.guard_last_admin() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public."user" u WHERE u.role = 'admin') AND NOT markenmate.is_open() THEN
        RAISE EXCEPTION USING ERRCODE = 'MM102',
            MESSAGE = 'Cannot remove the last admin. System must have at least one admin.';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION markenmate.guard_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    -- Whoever is there: TRUNCATE does not keep to what its transaction sees.
    IF NOT markenmate.is_open() THEN
        RAISE EXCEPTION USING ERRCODE = 'MM105',
            MESSAGE = 'Cannot remove the last admin. System must have at least one admin.',
            DETAIL = 'TRUNCATE would take them all.';
    END IF;
    RETURN NULL;
END
$$;

-- For what the trigger's condition finds wrong.
CREATE FUNCTION markenmate.guard_lending() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT markenmate.is_open() THEN
        RAISE EXCEPTION USING ERRCODE = 'MM104',
            MESSAGE = format('The version of lending %s may not go from %s to %s.', OLD.id,
                             to_jsonb(OLD) ->> 'version', to_jsonb(NEW) ->> 'version'),
            HINT = 'it never decreases, and grows by one when token_count changes';
    END IF;
    RETURN NULL;
END
$$;

-- Counted outside of the transaction that the conflict ends; not when verify --probe tries it. By setval, as nextval
-- writes ahead what it may give out: after a crash, and on a standby, the counter would be up to 32 too high. Two who
-- read the same value would count once, hence the lock, which ends with the conflict.
CREATE FUNCTION markenmate.count_conflict(sequence regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF coalesce(current_setting('markenmate.probe', true), '') <> 'on' THEN
        LOCK TABLE markenmate.gate IN SHARE UPDATE EXCLUSIVE MODE;
        PERFORM setval(sequence, coalesce(pg_sequence_last_value(sequence), 0) + 1);
    END IF;
END
$$;

-- For tokens that were used before.
CREATE FUNCTION markenmate.guard_step_up() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT markenmate.is_open() THEN
        PERFORM markenmate.count_conflict('markenmate.step_up_conflicts');
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
            MESSAGE = 'Step-up authentication required',
            DETAIL = 'The token has been used already.';
    END IF;
    RETURN NULL;
END
$$;

-- An update that matches no row: somebody else was faster. The app ignores a count, but no error.
CREATE FUNCTION markenmate.end_late_update(relation oid, hardened text, counter text, message text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    -- The update of INSERT ... ON CONFLICT, or of a key whose parent goes: nobody meant a row.
    IF current_setting('markenmate.excused', true) = relation::text
       -- Without the column nobody can tell one version from another.
       OR NOT EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = relation AND attname = hardened AND NOT attisdropped)
       OR markenmate.is_open() THEN
        RETURN;
    END IF;
    PERFORM markenmate.count_conflict(counter::regclass);
    RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = end_late_update.message,
        DETAIL = format('The UPDATE matched no row of %s.', relation::regclass);
END
$$;

-- Called by every update, so without settings of its own, which cost as much as the call: there is nothing in it
-- that a search_path could give another meaning.
CREATE FUNCTION markenmate.guard_conflict() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
    PERFORM markenmate.end_late_update(TG_RELID, TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END
$$;

-- Whether an update that matches no row is nobody's loss. Within another trigger: the update is a key's, whose
-- parent goes or changes. INSERT ... ON CONFLICT DO UPDATE, and MERGE, fire the triggers of an update as well:
-- before any row those of the insert, then those of the update; at the end the other way round. So an update within
-- an INSERT into the same table is excused as well.
-- Without settings, as above; every name is qualified.
CREATE FUNCTION markenmate.note_purpose() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        PERFORM pg_catalog.set_config('markenmate.inserting',
                    CASE TG_WHEN WHEN 'BEFORE' THEN pg_catalog.concat_ws(' ', TG_RELID, pg_catalog.pg_current_xact_id()) ELSE '' END,
                    true);
    ELSIF pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 1
          OR pg_catalog.current_setting('markenmate.inserting', true) OPERATOR(pg_catalog.=)
             -- Nobody sets it once and for all.
             pg_catalog.concat_ws(' ', TG_RELID, pg_catalog.pg_current_xact_id()) THEN
        PERFORM pg_catalog.set_config('markenmate.excused', TG_RELID::pg_catalog.text, true);
    ELSE
        PERFORM pg_catalog.set_config('markenmate.excused', '', true);
    END IF;
    RETURN NULL;
END
$$;

-- A user's audit rows go with the user (ON DELETE CASCADE); here they stay. An erasure goes through the
-- gate: what is erased is not kept.
CREATE FUNCTION markenmate.keep_audit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
BEGIN
    IF NOT markenmate.is_open() THEN
        -- What cannot be told must not keep the app from deleting its user.
        INSERT INTO markenmate.audit_log_archive
               (id, user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at, reason)
        VALUES (coalesce((was ->> 'id')::integer, 0), coalesce(was ->> 'user_id', ''), coalesce(was ->> 'action', ''),
                was ->> 'target_user_id', was ->> 'metadata', was ->> 'ip_address', was ->> 'user_agent',
                was ->> 'correlation_id', coalesce((was ->> 'created_at')::timestamp with time zone, now()),
                CASE WHEN EXISTS (SELECT FROM public."user" u WHERE u.id = was ->> 'user_id')
                     THEN 'deleted by a trigger' ELSE 'user deleted' END);
    END IF;
    RETURN OLD;
END
$$;

-- The flag's only way: the present one, if any, loses it, and an admin gets it. Says who had it before.
CREATE FUNCTION markenmate.set_master_admin(user_id text, transfer boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    previous text;
    is_admin boolean;
BEGIN
    -- Rows first, in one order, then the turn: as whoever demotes an admin does.
    PERFORM FROM public."user" u
      WHERE u.is_master_admin OR u.id = set_master_admin.user_id ORDER BY u.id FOR NO KEY UPDATE;
    INSERT INTO markenmate.turn AS t DEFAULT VALUES ON CONFLICT (only_one) DO UPDATE SET turn = t.turn + 1;
    is_admin := (SELECT u.role = 'admin' FROM public."user" u WHERE u.id = set_master_admin.user_id);
    IF is_admin IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'MM103', MESSAGE = 'The master admin must be an admin.',
            DETAIL = format('%s is %s.', quote_nullable(user_id), CASE WHEN is_admin IS NULL THEN 'nobody' ELSE 'none' END);
    END IF;
    -- Where somebody else has it as well: them.
    previous := (SELECT u.id FROM public."user" u WHERE u.is_master_admin
                  ORDER BY u.id = set_master_admin.user_id, u.id LIMIT 1);
    IF previous = user_id THEN
        RETURN previous;
    ELSIF previous IS NOT NULL AND transfer IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'MM103', MESSAGE = 'There is a master admin already.',
            DETAIL = format('It is %s.', previous),
            HINT = 'to hand it on: markenmate set-master-admin USER --transfer';
    END IF;
    INSERT INTO markenmate.gate (reason) VALUES ('set_master_admin');
    UPDATE public."user" u SET is_master_admin = false WHERE u.is_master_admin AND u.id <> set_master_admin.user_id;
    UPDATE public."user" u SET is_master_admin = true WHERE u.id = set_master_admin.user_id AND NOT u.is_master_admin;
    UPDATE markenmate.gate SET closed = true
     WHERE transaction_id = pg_current_xact_id() AND began_at = now() AND reason = 'set_master_admin';
    RETURN previous;
END
$$;
COMMENT ON FUNCTION markenmate.set_master_admin(text, boolean) IS 'Makes an admin the master admin; returns who it was before';

-- Nobody but the owner calls them, whatever privileges new functions are given by default. A trigger needs
-- none to fire.
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT DISTINCT p.oid::regprocedure AS function,
               CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
          FROM pg_proc p
         CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
         WHERE p.pronamespace = 'markenmate'::regnamespace AND acl.grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', held.function, held.grantee);
    END LOOP;
END
$$;

-- Writers wait, readers do not. The queues for all four tables share one lock_timeout, as in V2.
SELECT set_config('markenmate.queue_until', extract(epoch FROM
           clock_timestamp() + current_setting('lock_timeout')::interval)::text, true);
LOCK TABLE public."user" IN SHARE ROW EXCLUSIVE MODE;
SELECT set_config('markenmate.locked_at', extract(epoch FROM clock_timestamp())::text, true)
 WHERE coalesce(current_setting('markenmate.locked_at', true), '') = '';
SELECT set_config('lock_timeout', greatest(1, ceil(1000 * (current_setting('markenmate.queue_until')::float8
           - extract(epoch FROM clock_timestamp()))))::text, true)
 WHERE current_setting('lock_timeout') <> '0';
LOCK TABLE public.token_lending IN SHARE ROW EXCLUSIVE MODE;
SELECT set_config('lock_timeout', greatest(1, ceil(1000 * (current_setting('markenmate.queue_until')::float8
           - extract(epoch FROM clock_timestamp()))))::text, true)
 WHERE current_setting('lock_timeout') <> '0';
LOCK TABLE public.step_up_token IN SHARE ROW EXCLUSIVE MODE;
SELECT set_config('lock_timeout', greatest(1, ceil(1000 * (current_setting('markenmate.queue_until')::float8
           - extract(epoch FROM clock_timestamp()))))::text, true)
 WHERE current_setting('lock_timeout') <> '0';
LOCK TABLE public.audit_log IN SHARE ROW EXCLUSIVE MODE;

-- Guards that begin with what they forbid would keep it so.
DO $$
DECLARE
    masters text;
    held bigint;
    unfit boolean;
BEGIN
    -- Read once: everybody waits.
    SELECT count(*), bool_or(u.role <> 'admin'),
           string_agg(format('%s (id %s, role %s)', u.email, u.id, u.role), ', ' ORDER BY u.id)
      INTO held, unfit, masters FROM public."user" u WHERE u.is_master_admin;
    IF held > 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'MM103', MESSAGE = format('There is more than one master admin: %s', masters),
            HINT = 'one of them is to stay, on the word of one: markenmate set-master-admin USER --transfer --as ONE_OF_THEM';
    ELSIF unfit THEN
        RAISE EXCEPTION USING ERRCODE = 'MM103', MESSAGE = format('The master admin is no admin: %s', masters),
            HINT = 'an admin is to have it: markenmate set-master-admin USER --transfer --break-glass --reason TEXT';
    END IF;
END
$$;

-- Conditions read whole rows as well, for the same reason, and are cheaper than a call where all is well. They
-- name no column: a condition that did would keep the app's push from changing it.
CREATE TRIGGER markenmate_admins BEFORE INSERT OR UPDATE OR DELETE ON public."user"
    FOR EACH ROW EXECUTE FUNCTION markenmate.guard_admins();
CREATE TRIGGER markenmate_last_admin_updated AFTER UPDATE ON public."user"
    FOR EACH ROW WHEN (to_jsonb(OLD) ->> 'role' = 'admin' AND to_jsonb(NEW) ->> 'role' <> 'admin')
    EXECUTE FUNCTION markenmate.guard_last_admin();
CREATE TRIGGER markenmate_last_admin_deleted AFTER DELETE ON public."user"
    FOR EACH ROW WHEN (to_jsonb(OLD) ->> 'role' = 'admin')
    EXECUTE FUNCTION markenmate.guard_last_admin();
CREATE TRIGGER markenmate_truncate BEFORE TRUNCATE ON public."user"
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.guard_truncate();
-- Without the column both versions are null, and so is every comparison.
CREATE TRIGGER markenmate_version AFTER UPDATE ON public.token_lending
    FOR EACH ROW WHEN ((to_jsonb(NEW) ->> 'version')::bigint <> (to_jsonb(OLD) ->> 'version')::bigint + 1
                   AND ((to_jsonb(NEW) ->> 'version')::bigint < (to_jsonb(OLD) ->> 'version')::bigint
                        OR to_jsonb(NEW) ->> 'token_count' IS DISTINCT FROM to_jsonb(OLD) ->> 'token_count'))
    EXECUTE FUNCTION markenmate.guard_lending();
CREATE TRIGGER markenmate_updating BEFORE UPDATE ON public.token_lending
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
CREATE TRIGGER markenmate_inserting BEFORE INSERT ON public.token_lending
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
CREATE TRIGGER markenmate_inserted AFTER INSERT ON public.token_lending
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
CREATE TRIGGER markenmate_conflict AFTER UPDATE ON public.token_lending
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    markenmate.guard_conflict('version', 'markenmate.lending_conflicts', 'Lending was modified by another user. Please refresh and try again.');
CREATE TRIGGER markenmate_spent AFTER UPDATE ON public.step_up_token
    FOR EACH ROW WHEN ((to_jsonb(OLD) ->> 'used')::boolean) EXECUTE FUNCTION markenmate.guard_step_up();
CREATE TRIGGER markenmate_updating BEFORE UPDATE ON public.step_up_token
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
CREATE TRIGGER markenmate_inserting BEFORE INSERT ON public.step_up_token
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
CREATE TRIGGER markenmate_inserted AFTER INSERT ON public.step_up_token
    FOR EACH STATEMENT EXECUTE FUNCTION markenmate.note_purpose();
CREATE TRIGGER markenmate_conflict AFTER UPDATE ON public.step_up_token
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    markenmate.guard_conflict('used', 'markenmate.step_up_conflicts', 'Step-up authentication required');
-- Within another trigger: it is the key's cascade. Whoever deletes audit rows as such looks after them, and does not pay
-- for this: for a BEFORE trigger each row would be locked first, whether it fires or not.
CREATE TRIGGER markenmate_keep_audit AFTER DELETE ON public.audit_log
    FOR EACH ROW WHEN (pg_trigger_depth() > 0) EXECUTE FUNCTION markenmate.keep_audit();
