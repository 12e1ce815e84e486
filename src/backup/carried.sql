-- What belongs to a database and is in no dump of it: who may connect, and settings, its own and
-- those of roles in it.
SELECT 'grant' AS kind,
       CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END AS role,
       string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type) AS name,
       CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END AS value,
       0 AS place
  FROM pg_database d, aclexplode(d.datacl) a
 WHERE d.oid = %OID%
 GROUP BY a.grantee, a.is_grantable
UNION ALL
-- Even where nobody is on it: a list that is empty lets nobody in, none at all everybody.
SELECT 'list', NULL, '', '', 0 FROM pg_database d WHERE d.oid = %OID% AND d.datacl IS NOT NULL
UNION ALL
SELECT 'setting',
       CASE WHEN s.setrole = 0 THEN NULL ELSE pg_get_userbyid(s.setrole) END,
       left(c.pair, strpos(c.pair, '=') - 1),
       substr(c.pair, strpos(c.pair, '=') + 1),
       c.place
  FROM pg_db_role_setting s, unnest(s.setconfig) WITH ORDINALITY c(pair, place)
 WHERE s.setdatabase = %OID%
 ORDER BY 1, 2 NULLS FIRST, 5, 3
