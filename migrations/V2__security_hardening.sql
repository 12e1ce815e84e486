-- The guide's migration (0001_ancient_jasper_sitwell): step-up tokens, audit log,
-- optimistic locking, the master admin's flag. Names are the ones the app's push gives.
--
-- New tables come first and without keys: nobody contends for them. Then each table of the
-- app is locked once, in one order, in the strongest mode needed. The three queues share one
-- lock_timeout, so that a statement of the app never waits longer than that for all of them.

CREATE SEQUENCE public.step_up_token_id_seq AS integer;
CREATE TABLE public.step_up_token (
    id integer DEFAULT nextval('public.step_up_token_id_seq') NOT NULL,
    token text NOT NULL,
    user_id text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT step_up_token_pkey PRIMARY KEY (id),
    CONSTRAINT step_up_token_token_unique UNIQUE (token)
);
ALTER SEQUENCE public.step_up_token_id_seq OWNED BY public.step_up_token.id;

CREATE SEQUENCE public.audit_log_id_seq AS integer;
CREATE TABLE public.audit_log (
    id integer DEFAULT nextval('public.audit_log_id_seq') NOT NULL,
    user_id text NOT NULL,
    action text NOT NULL,
    target_user_id text,
    metadata text,
    ip_address text,
    user_agent text,
    correlation_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id)
);
ALTER SEQUENCE public.audit_log_id_seq OWNED BY public.audit_log.id;

-- Where the app is not the owner but was granted its tables, it gets the same on the new ones:
-- what it may do to rows of every table of the app. A role that may read one table only is not the
-- app, and the new ones hold secrets.
DO $$
DECLARE held record;
BEGIN
    FOR held IN
        SELECT n.new_name, c.relkind, acl.privilege_type,
               CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS grantee
          FROM (VALUES ('token_lending', 'step_up_token'), ('token_lending', 'audit_log'),
                       ('token_lending_id_seq', 'step_up_token_id_seq'),
                       ('token_lending_id_seq', 'audit_log_id_seq')) n(old_name, new_name)
          JOIN pg_class c ON c.relname = n.old_name AND c.relnamespace = 'public'::regnamespace
         CROSS JOIN aclexplode(c.relacl) acl
          LEFT JOIN pg_roles r ON r.oid = acl.grantee
         WHERE acl.grantee <> c.relowner AND (acl.grantee = 0 OR r.oid IS NOT NULL)
           AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
           AND NOT EXISTS (SELECT FROM pg_class t
                            WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
                              AND t.relname IN ('account', 'app_log', 'db_backup', 'demo_data', 'favorite',
                                              'menu_item', 'order_history', 'order_history_item', 'restaurant', 'session',
                                              'ticket', 'ticket_comment', 'token_lending', 'user', 'verification')
                              AND NOT has_table_privilege(coalesce(r.rolname, 'public'), t.oid,
                                          CASE acl.privilege_type WHEN 'USAGE' THEN 'INSERT'
                                                                  ELSE acl.privilege_type END))
    LOOP
        EXECUTE format('GRANT %s ON %s public.%I TO %s', held.privilege_type,
                       CASE held.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, held.new_name, held.grantee);
    END LOOP;
END
$$;

SELECT set_config('markenmate.queue_until', extract(epoch FROM
           clock_timestamp() + current_setting('lock_timeout')::interval)::text, true);
LOCK TABLE public."user" IN ACCESS EXCLUSIVE MODE;
SELECT set_config('markenmate.locked_at', extract(epoch FROM clock_timestamp())::text, true);
SELECT set_config('lock_timeout', greatest(1, ceil(1000 * (current_setting('markenmate.queue_until')::float8
           - extract(epoch FROM clock_timestamp()))))::text, true)
 WHERE current_setting('lock_timeout') <> '0';
LOCK TABLE public.token_lending IN ACCESS EXCLUSIVE MODE;
SELECT set_config('lock_timeout', greatest(1, ceil(1000 * (current_setting('markenmate.queue_until')::float8
           - extract(epoch FROM clock_timestamp()))))::text, true)
 WHERE current_setting('lock_timeout') <> '0';
LOCK TABLE public.app_log IN ACCESS EXCLUSIVE MODE;

ALTER TABLE public.step_up_token
    ADD CONSTRAINT step_up_token_user_id_user_id_fk
        FOREIGN KEY (user_id) REFERENCES public."user" (id) ON DELETE CASCADE;
ALTER TABLE public.audit_log
    ADD CONSTRAINT audit_log_user_id_user_id_fk
        FOREIGN KEY (user_id) REFERENCES public."user" (id) ON DELETE CASCADE,
    ADD CONSTRAINT audit_log_target_user_id_user_id_fk
        FOREIGN KEY (target_user_id) REFERENCES public."user" (id) ON DELETE SET NULL;

-- Constant defaults: no table is rewritten.
ALTER TABLE public."user" ADD COLUMN is_master_admin boolean DEFAULT false NOT NULL;
ALTER TABLE public.token_lending ADD COLUMN version integer DEFAULT 1 NOT NULL;
ALTER TABLE public.app_log ADD COLUMN correlation_id text;
