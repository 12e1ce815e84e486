-- Where the app does not own its tables but was granted them: a role that may insert into every older
-- table is the app, and may do to the new ones what it may do to all of those. The migration sees to
-- that; tables made by a push or by hand get no grants.
WITH older AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relname
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
     WHERE c.relkind IN ('r', 'p')
       AND c.relname IN ('account', 'app_log', 'db_backup', 'demo_data', 'favorite',
                         'menu_item', 'order_history', 'order_history_item', 'restaurant', 'session',
                         'ticket', 'ticket_comment', 'token_lending', 'user', 'verification')
), app AS (
    SELECT DISTINCT CASE WHEN acl.grantee = 0 THEN 'public' ELSE r.rolname::text END AS role,
           CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE format('%I', r.rolname) END AS name
      FROM older o
     CROSS JOIN aclexplode(o.relacl) acl
      LEFT JOIN pg_roles r ON r.oid = acl.grantee
     WHERE o.relname = 'token_lending' AND acl.privilege_type = 'INSERT' AND acl.grantee <> o.relowner
       AND (acl.grantee = 0 OR r.oid IS NOT NULL)
), may AS (
    SELECT app.*, p.privilege
      FROM app CROSS JOIN (VALUES (1, 'SELECT'), (2, 'INSERT'), (3, 'UPDATE'), (4, 'DELETE')) p(n, privilege)
     WHERE NOT EXISTS (SELECT FROM older o
                        WHERE NOT has_table_privilege(app.role, o.oid, 'INSERT')
                           OR NOT has_table_privilege(app.role, o.oid, p.privilege))
), wanted AS (
    SELECT c.relkind, format('%I.%I', n.nspname, c.relname) AS relation, may.name, may.privilege,
           has_table_privilege(may.role, c.oid, may.privilege) AS held
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
     CROSS JOIN may
     WHERE c.relname IN ('step_up_token', 'audit_log') AND c.relkind IN ('r', 'p')
     UNION ALL
    -- Numbers are taken by whoever inserts, and read by the application's pg_dump.
    SELECT c.relkind, format('%I.%I', n.nspname, c.relname), app.name, p.privilege,
           has_sequence_privilege(app.role, c.oid, p.privilege)
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
      JOIN pg_class old ON old.relnamespace = n.oid AND old.relname = 'token_lending_id_seq' AND old.relkind = 'S'
     CROSS JOIN (SELECT DISTINCT role, name FROM may) app
     CROSS JOIN (VALUES ('USAGE'), ('SELECT')) p(privilege)
     WHERE c.relname IN ('step_up_token_id_seq', 'audit_log_id_seq') AND c.relkind = 'S'
       AND has_sequence_privilege(app.role, old.oid, p.privilege)
)
SELECT relation AS subject,
       format('role %s writes every older table of the application, and may not %s here', name,
              string_agg(privilege, ', ' ORDER BY privilege)) AS detail,
       format('GRANT %s ON %s %s TO %s;', string_agg(privilege, ', ' ORDER BY privilege),
              CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relation, name) AS remedy
  FROM wanted
 WHERE NOT held
 GROUP BY relation, relkind, name
 ORDER BY relation, name
