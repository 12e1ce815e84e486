-- Whoever owns or was granted something: a restore needs them all. They are the server's, and in no
-- dump of a database. The first superuser is pinned, and so in no list of dependencies.
WITH own AS (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'),
     held AS (
         SELECT relowner AS owner, relacl AS acl FROM pg_class WHERE relnamespace IN (SELECT oid FROM own)
         UNION ALL
         SELECT proowner, proacl FROM pg_proc WHERE pronamespace IN (SELECT oid FROM own)
         UNION ALL
         SELECT typowner, typacl FROM pg_type WHERE typnamespace IN (SELECT oid FROM own)
         UNION ALL
         SELECT defaclrole, defaclacl FROM pg_default_acl
         UNION ALL
         SELECT CASE WHEN nspname <> 'public' THEN nspowner END, nspacl FROM pg_namespace WHERE oid IN (SELECT oid FROM own)
         UNION ALL
         SELECT lomowner, lomacl FROM pg_largeobject_metadata
     )
SELECT DISTINCT r.rolname AS name
  FROM pg_roles r
 WHERE r.oid IN (SELECT refobjid FROM pg_shdepend
                  WHERE refclassid = 'pg_authid'::regclass
                    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
    OR r.oid = 10 AND (r.oid IN (SELECT owner FROM held)
                    OR r.oid IN (SELECT a.grantee FROM held, aclexplode(acl) a WHERE a.grantee <> held.owner))
 ORDER BY 1
