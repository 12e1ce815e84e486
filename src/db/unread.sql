-- What stands in a schema markenmate that we may not look into, and whether we may become its owner.
SELECT EXISTS (SELECT FROM pg_class
                WHERE relnamespace = n.oid
                  AND relname IN ('refinery_schema_history', 'refinery_own_history')) AS has_history,
       CASE WHEN pg_has_role(n.nspowner, CASE WHEN current_setting('server_version_num')::int >= 160000
                                              THEN 'SET' ELSE 'MEMBER' END)
            THEN pg_get_userbyid(n.nspowner) END AS owner
  FROM pg_namespace n
 WHERE n.nspname = 'markenmate'
