-- What a restore beside this database, and the swap of both names, needs to know of the server.
WITH wanted(kind, name) AS (VALUES (NULL::text, NULL::text)%WANTED%)
SELECT d.oid::text AS oid,
       pg_get_userbyid(d.datdba) AS owner,
       pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collate,
       d.datctype AS ctype,
       -- Since 15; the locale's name has had two columns since then.
       coalesce(to_jsonb(d)->>'datlocprovider', 'c') AS provider,
       coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') AS locale,
       t.spcname AS tablespace,
       d.datconnlimit::text AS connection_limit,
       shobj_description(d.oid, 'pg_database') AS comment,
       pg_has_role(d.datdba, 'USAGE') AS owns,
       r.rolsuper OR r.rolcreatedb AS may_create,
       r.rolsuper OR pg_has_role('pg_signal_backend', 'USAGE') AS may_signal,
       (SELECT count(*) FROM pg_prepared_xacts x WHERE x.database = d.datname)::text AS prepared,
       (SELECT string_agg(s.slot_name, ', ' ORDER BY s.slot_name)
          FROM pg_replication_slots s WHERE s.database = d.datname) AS slots,
       (SELECT string_agg(s.subname, ', ' ORDER BY s.subname)
          FROM pg_subscription s WHERE s.subdbid = d.oid) AS subscriptions,
       (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS data_directory,
       -- By query_to_xml: without the table there is nothing to plan. Where it may not be read, the statistics.
       coalesce((SELECT CASE WHEN has_table_privilege(u.oid, 'SELECT') AND NOT row_security_active(u.oid)
                             THEN query_to_xml('SELECT 1 AS one FROM public."user" LIMIT 1', false, false, '')::text ~ '<one>'
                             ELSE u.reltuples > 0 END
                   FROM pg_class u WHERE u.oid = to_regclass('public."user"') AND u.relkind = 'r'), false) AS has_users,
       (SELECT pg_get_userbyid(u.relowner) FROM pg_class u WHERE u.oid = to_regclass('public."user"')) AS app_owner,
       r.rolsuper AS superuser,
       (SELECT count(*) FROM pg_extension WHERE extname = 'pg_cron')::text AS cron,
       (SELECT string_agg(wanted.name, E'\n' ORDER BY wanted.name) FROM wanted
         WHERE wanted.kind = 'role' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)) AS missing_roles,
       (SELECT string_agg(wanted.name, E'\n' ORDER BY wanted.name) FROM wanted
         WHERE wanted.kind = 'extension' AND NOT EXISTS (SELECT FROM pg_available_extensions e WHERE e.name = wanted.name)) AS missing_extensions
  FROM pg_database d
  JOIN pg_tablespace t ON t.oid = d.dattablespace
  JOIN pg_roles r ON r.rolname = current_user
 WHERE d.datname = current_database()
