-- Who may do more than read what is the tool's own: write a gate's row and every guard is passed, put a
-- trigger there and it runs as the owner, write the ledger and it says what one likes.
WITH granted AS (
    SELECT format('%s markenmate.%I', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, c.relname) AS subject,
           format('%s markenmate.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname) AS thing,
           c.relowner AS owner, acl.grantee, acl.privilege_type AS privilege
      FROM pg_class c
      -- What is taken from a table is taken from its columns.
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL
     CROSS JOIN LATERAL aclexplode(nullif(coalesce(c.relacl, '{}') || coalesce(a.attacl, '{}'), '{}')) acl
     WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate') AND c.relkind IN ('r', 'S')
       AND acl.privilege_type <> 'SELECT'
     UNION ALL
    SELECT 'schema markenmate', 'SCHEMA markenmate', n.nspowner, acl.grantee, acl.privilege_type
      FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) acl
     WHERE n.nspname = 'markenmate' AND acl.privilege_type <> 'USAGE'
     UNION ALL
    SELECT format('function %s', p.oid::regprocedure), format('FUNCTION %s', p.oid::regprocedure), p.proowner, acl.grantee,
           acl.privilege_type
      FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
     WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'markenmate')
),
told AS (
    SELECT g.subject, g.thing, string_agg(DISTINCT g.privilege, ', ' ORDER BY g.privilege) AS privileges,
           CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS grantee
      FROM granted g WHERE g.grantee <> g.owner GROUP BY g.subject, g.thing, g.grantee
)
SELECT t.subject, format('%s may %s', t.grantee, replace(t.privileges, 'EXECUTE', 'call it')) AS detail,
       format('REVOKE %s ON %s FROM %s CASCADE;', t.privileges, t.thing, t.grantee) AS remedy
  FROM told t ORDER BY 1, 2
