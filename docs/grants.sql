-- What roles need to work with markenmate, beside the application's own.
--
--   markenmate util grants | psql -d DATABASE -v owner=app -v reader=markenmate_reader -v operator=markenmate_operator
--
-- owner     the role that owns the application's tables: \dt public."user" shows it
-- reader    may run status, verify and stats; changes nothing, but reads every table, secrets included
-- operator  may run everything else; what it makes belongs to the owner
--
-- Run it as a superuser, in the application's database, before the first migrate or at any time
-- after it; running it again does no harm. Give the roles a way to log in yourself:
-- ALTER ROLE markenmate_reader PASSWORD ..., or a line in pg_hba.conf.
\set ON_ERROR_STOP on
BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM (VALUES (:'reader'), (:'operator')) roles(name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO %I, %I', current_database(), :'reader', :'operator') \gexec

-- The owner makes schema markenmate and the new tables, whoever asks it to.
SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), :'owner') \gexec
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";
CREATE SCHEMA IF NOT EXISTS markenmate AUTHORIZATION :"owner";

-- The operator acts as the owner; a role that does not inherit could not read the history.
ALTER ROLE :"operator" INHERIT;
GRANT :"owner" TO :"operator";
-- rollback --restore fills a new database before it takes the name.
ALTER ROLE :"operator" CREATEDB;

-- The reader: the application's tables and the history, those to come included.
GRANT USAGE ON SCHEMA public, markenmate TO :"reader";
GRANT SELECT ON ALL TABLES IN SCHEMA public, markenmate TO :"reader";
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public, markenmate TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public, markenmate GRANT SELECT ON TABLES TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public, markenmate GRANT SELECT ON SEQUENCES TO :"reader";

-- Who holds a lock, and since when, is shown to members of this role only.
GRANT pg_read_all_stats TO :"reader", :"operator";
-- pg_terminate_backend(), which is what a wait for a lock offers; not on superusers' sessions.
GRANT pg_signal_backend TO :"operator";

COMMIT;
