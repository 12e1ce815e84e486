-- Tables by the names that a dump gives them, and as this server writes them.
SELECT w.written, format('%I.%I', n.nspname, c.relname) AS name
  FROM (VALUES %NAMES%) w(written)
  JOIN pg_class c ON c.oid = to_regclass(w.written)
  JOIN pg_namespace n ON n.oid = c.relnamespace
