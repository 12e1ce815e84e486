-- In the application's database. pg_settings leaves out what the role may not see, where current_setting refuses.
SELECT current_user::text AS "user",
       (SELECT s.setting FROM pg_settings s WHERE s.name = 'cron.database_name') AS cron_database,
       pg_has_role(current_user, 'pg_read_all_settings', 'MEMBER') AS sees_settings,
       EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') AS is_here,
       r.rolname::text AS owner,
       r.rolcanlogin AS owner_logs_in,
       current_setting('is_superuser') = 'on' AS superuser,
       c.oid IS NOT NULL AND k.oid IS NOT NULL AS has_tables,
       coalesce(has_table_privilege(c.oid, 'DELETE') AND has_table_privilege(c.oid, 'SELECT')
                AND has_table_privilege(k.oid, 'INSERT') AND has_table_privilege(k.oid, 'UPDATE')
                AND has_table_privilege(k.oid, 'SELECT'), false) AS may
  FROM (SELECT 1) one
  LEFT JOIN pg_class c ON c.relname = 'step_up_token' AND c.relkind = 'r'
        AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'public')
  LEFT JOIN pg_class k ON k.relname = 'cleanup' AND k.relkind = 'r'
        AND k.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'markenmate')
  LEFT JOIN pg_roles r ON r.oid = c.relowner
