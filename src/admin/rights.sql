-- What a change writes or reads and the role of this moment may not. Of columns that were granted one by one
-- any will do: which are wanted is the change's own matter.
SELECT string_agg(concat(w.privilege, ' on ', w.relation), ', ' ORDER BY w.number) AS lacks
  FROM (VALUES (1, 'public."user"', 'SELECT'), (2, 'public."user"', 'UPDATE'), (3, 'public.account', 'SELECT'),
               (4, 'public.session', 'SELECT'), (5, 'public.session', %REVOKES%), (6, 'public.audit_log', 'SELECT'),
               (7, 'public.audit_log', 'INSERT'), (8, 'public.step_up_token', 'SELECT'), (9, 'public.step_up_token', 'INSERT'),
               (10, 'public.step_up_token', 'UPDATE')) w(number, relation, privilege)
 WHERE NOT CASE WHEN w.privilege = 'DELETE' THEN has_table_privilege(to_regclass(w.relation)::oid, w.privilege)
                ELSE has_any_column_privilege(to_regclass(w.relation)::oid, w.privilege) END;
