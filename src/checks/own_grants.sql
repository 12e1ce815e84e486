-- Who may do more than read what is the tool's own: write a gate's row and every guard is passed, put a
-- trigger there and it runs as the owner, write the ledger and it says what one likes.
SELECT format('%s markenmate.%I', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.relname) AS subject,
       format('%s may %s', g.grantee, g.privileges) AS detail,
       format('REVOKE %s ON %s markenmate.%I FROM %s;', g.privileges, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
              c.relname, g.grantee) AS remedy
  FROM pg_class c
 CROSS JOIN LATERAL (
       SELECT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee,
              string_agg(acl.privilege_type, ', ' ORDER BY acl.privilege_type) AS privileges
         FROM aclexplode(c.relacl) acl
        WHERE acl.grantee <> c.relowner AND acl.privilege_type <> 'SELECT' GROUP BY 1) g
 WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate') AND c.relkind IN ('r', 'S')
 UNION ALL
SELECT format('function %s', p.oid::regprocedure), format('%s may call it', g.grantee),
       format('REVOKE ALL ON FUNCTION %s FROM %s;', p.oid::regprocedure, g.grantee)
  FROM pg_proc p
 CROSS JOIN LATERAL (
       SELECT DISTINCT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
         FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl WHERE acl.grantee <> p.proowner) g
 WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate')
 ORDER BY 1, 2
