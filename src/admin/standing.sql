-- What of the guide's migration and of the guards is there, and on whose behalf we may act.
SELECT t.owner AS owner,
       t.owner = current_user AS is_owner,
       pg_has_role(t.owner, CASE WHEN current_setting('server_version_num')::int >= 160000
                                 THEN 'SET' ELSE 'MEMBER' END) AS becomes_owner,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'is_master_admin'
                  AND a.atttypid = 'bool'::regtype AND NOT a.attisdropped) AS has_flag,
       to_regclass('public.audit_log') IS NOT NULL AND to_regclass('public.step_up_token') IS NOT NULL AS has_records,
       to_regclass('public.account') IS NOT NULL AND has_table_privilege('public.account', 'SELECT') AS reads_accounts,
       to_regclass('public.session') IS NOT NULL AND has_table_privilege('public.session', 'SELECT') AS reads_sessions,
       f.oid IS NOT NULL AS has_function,
       f.proowner = t.relowner AND f.prosecdef AS is_owners_function,
       (SELECT count(*) = 3 FROM pg_trigger g
         WHERE g.tgrelid = t.oid AND g.tgenabled IN ('O', 'A')
           AND g.tgname IN ('markenmate_admins', 'markenmate_last_admin_updated', 'markenmate_last_admin_deleted')) AS has_triggers
  FROM (VALUES (1)) one
  LEFT JOIN (SELECT oid, relowner, pg_get_userbyid(relowner) AS owner FROM pg_class
              WHERE relnamespace = to_regnamespace('public') AND relname = 'user' AND relkind IN ('r', 'p')) t ON true
  -- By its name: who may not use the schema may still know of it.
  LEFT JOIN (SELECT p.* FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
              WHERE n.nspname = 'markenmate' AND p.proname = 'set_master_admin'
                AND oidvectortypes(p.proargtypes) = 'text, boolean') f ON true
