-- What of the guide's migration and of the guards is there, and on whose behalf we may act.
SELECT t.owner AS owner,
       t.owner = current_user AS is_owner,
       pg_has_role(t.owner, CASE WHEN current_setting('server_version_num')::int >= 160000
                                 THEN 'SET' ELSE 'MEMBER' END) AS becomes_owner,
       -- Some of the tables may be another role's: then this one would be in our way.
       (SELECT bool_and(has_table_privilege(t.owner, to_regclass('public.' || v.name), v.privilege))
          FROM (VALUES ('"user"', 'SELECT'), ('"user"', 'UPDATE'), ('account', 'SELECT'), ('session', 'SELECT'),
                       ('session', 'DELETE'), ('audit_log', 'SELECT'), ('audit_log', 'INSERT'), ('audit_log', 'UPDATE'), ('audit_log', 'DELETE'),
                       ('step_up_token', 'SELECT'), ('step_up_token', 'INSERT'), ('step_up_token', 'UPDATE')) v(name, privilege)) AS owner_may,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'is_master_admin'
                  AND a.atttypid = 'bool'::regtype AND NOT a.attisdropped) AS has_flag,
       -- Columns that a version of the app may lack.
       (SELECT string_agg(a.attname, ' ') FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass('public.account') AND a.attname = 'issuer'
                  AND NOT a.attisdropped) AS has_issuer,
       to_regclass('public.audit_log') IS NOT NULL AND to_regclass('public.step_up_token') IS NOT NULL AS has_records,
       to_regclass('public.account') IS NOT NULL AND has_table_privilege('public.account', 'SELECT') AS reads_accounts,
       to_regclass('public.session') IS NOT NULL AND has_table_privilege('public.session', 'SELECT') AS reads_sessions,
       f.oid IS NOT NULL AS has_function,
       f.proowner = t.relowner AND f.prosecdef AS is_owners_function
  FROM (VALUES (1)) one
  LEFT JOIN (SELECT oid, relowner, pg_get_userbyid(relowner) AS owner FROM pg_class
              WHERE relnamespace = to_regnamespace('public') AND relname = 'user' AND relkind IN ('r', 'p')) t ON true
  -- By its name: who may not use the schema may still know of it.
  LEFT JOIN (SELECT p.* FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
              WHERE n.nspname = 'markenmate' AND p.proname = 'set_master_admin'
                AND oidvectortypes(p.proargtypes) = 'text, boolean') f ON true
