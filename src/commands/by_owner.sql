-- Who may become the owner of the application's tables, and has not its rights, becomes it before anything is
-- looked at in schema markenmate.
DO $$
DECLARE
    owner constant name := coalesce(
        (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public."user"')),
        (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'markenmate'));
BEGIN
    -- Who has the owner's rights already may have more of its own.
    IF owner IS NULL OR pg_has_role(owner, 'USAGE') THEN
        RETURN;
    END IF;
    IF NOT pg_has_role(owner, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        RAISE EXCEPTION 'role % may not take % back: the tables are %''s; nothing was changed', current_user, %SUBJECT%, owner
              USING ERRCODE = 'insufficient_privilege', HINT = format('connect as %I, or as a role that may become it', owner);
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', owner);
END
$$
