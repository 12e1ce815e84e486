-- What a way back would be refused over, and a restored database does not show: owners and privileges are its own.
WITH owner AS (
    SELECT r.oid, r.rolname AS name, r.rolsuper OR r.rolbypassrls AS sees_all
      FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = to_regclass('public."user"')
)
SELECT 'database' AS subject,
       format('there is no schema markenmate_quarantine, and none may be made by %I, who owns the tables: rollback would be refused', o.name) AS detail,
       format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), o.name) AS remedy,
       -- Whoever only looks may not be who migrates.
       pg_has_role(o.oid, 'MEMBER') AS certain
  FROM owner o
 WHERE to_regnamespace('markenmate_quarantine') IS NULL
   AND NOT has_database_privilege(session_user, current_database(), 'CREATE')
   AND NOT has_database_privilege(o.oid, current_database(), 'CREATE')
UNION ALL
SELECT 'schema markenmate_quarantine',
       format('it belongs to %I, the tables to %I: rollback would fail', pg_get_userbyid(n.nspowner), o.name),
       format('ALTER SCHEMA markenmate_quarantine OWNER TO %I;  -- and of the tables in it', o.name), true
  FROM owner o JOIN pg_namespace n ON n.nspname = 'markenmate_quarantine' AND n.nspowner <> o.oid
UNION ALL
SELECT format('table %s', c.oid::regclass),
       format('row security is forced upon %I, who owns it and lacks BYPASSRLS: no row of it is read or written that a policy may hide', o.name),
       format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;  -- or: ALTER ROLE %I BYPASSRLS;', c.oid::regclass, o.name), true
  FROM owner o JOIN pg_class c ON c.relnamespace = to_regnamespace('public') AND c.relowner = o.oid
 WHERE c.relname IN ('user', 'token_lending', 'app_log', 'audit_log', 'step_up_token')
   AND c.relrowsecurity AND c.relforcerowsecurity AND NOT o.sees_all
