o AS (
    SELECT c.oid, c.relkind, c.relispartition, c.reltype, r.written,
           CASE WHEN r.written THEN c.oid::regclass::text ELSE format('%I', c.relname) END AS name
      FROM (%RELATIONS%) r JOIN pg_class c ON c.oid = r.oid
),
-- What is computed when a row is read or written, as the server keeps it.
expression(what, tree) AS (
    SELECT format('index %I on %s', x.relname, o.name), concat(i.indexprs::text, i.indpred::text)
      FROM o JOIN pg_index i ON i.indrelid = o.oid JOIN pg_class x ON x.oid = i.indexrelid
    UNION ALL
    SELECT format('statistics %I on an expression over %s', s.stxname, o.name), to_jsonb(s) ->> 'stxexprs'
      FROM o JOIN pg_statistic_ext s ON s.stxrelid = o.oid
    UNION ALL
    SELECT format('constraint %I on %s', k.conname, o.name), k.conbin::text
      FROM o JOIN pg_constraint k ON k.conrelid = o.oid WHERE o.written
    UNION ALL
    SELECT format('column %s.%I', o.name, a.attname), d.adbin::text
      FROM o JOIN pg_attribute a ON a.attrelid = o.oid
      JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum WHERE o.written
    UNION ALL
    SELECT format('trigger %I on %s', t.tgname, o.name), t.tgqual::text
      FROM o JOIN pg_trigger t ON t.tgrelid = o.oid WHERE o.written AND t.tgenabled <> 'D'
    UNION ALL
    SELECT format('partition key of %s', o.name), p.partexprs::text
      FROM o JOIN pg_partitioned_table p ON p.partrelid = o.oid WHERE o.written
    UNION ALL
    SELECT format('partition %s', o.name), c.relpartbound::text
      FROM o JOIN pg_class c ON c.oid = o.oid WHERE o.written
),
called(what, function) AS (
    SELECT e.what, m.found[2]::oid
      FROM expression e, regexp_matches(e.tree, ':(\w*func)(?:id)? (\d+)', 'g') m(found) WHERE m.found[2] <> '0'
    UNION ALL
    SELECT e.what, coalesce(p.oprcode::oid, 0)
      FROM expression e, regexp_matches(e.tree, ':opno (\d+)', 'g') m(found)
      LEFT JOIN pg_operator p ON p.oid = m.found[1]::oid
),
used(what, type) AS (
    SELECT e.what, m.found[1]::oid
      FROM expression e, regexp_matches(e.tree, ':\w*typ(?:e\w*|id) (\d+)', 'gi') m(found)
    UNION ALL
    SELECT format('column %s.%I', o.name, a.attname), a.atttypid
      FROM o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
),
-- A domain's checks, a range's difference, the parts of a row: code. The row of a relation that is looked at is not.
type_(what, type) AS (
    SELECT u.what, u.type FROM used u WHERE u.type >= 16384
    UNION
    SELECT u.what, t.typelem FROM used u JOIN pg_type t ON t.oid = u.type WHERE t.typelem >= 16384
),
-- Whose body nobody but a superuser writes, and which does nothing but compute; and of the server's own
-- those that give something else each time, but run nobody's SQL.
harmless AS (
    SELECT p.oid FROM pg_proc p
     WHERE p.provolatile = 'i' AND (p.oid < 16384 OR p.prolang IN (SELECT l.oid FROM pg_language l
                                                                     WHERE l.lanname IN ('c', 'internal')))
        -- Behind the server's own operators.
        OR p.oid < 16384 AND p.oid IN (SELECT x.oprcode FROM pg_operator x WHERE x.oid < 16384)
        OR p.prolang IN (SELECT l.oid FROM pg_language l WHERE l.lanname = 'c')
           AND p.proname = ANY (ARRAY['uuid_generate_v1', 'uuid_generate_v1mc', 'uuid_generate_v4', 'gen_random_bytes', 'unaccent'])
        OR p.oid < 16384 AND p.proname = ANY (ARRAY[
               'now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'timezone', 'date', 'time',
               'timestamp', 'timestamptz', 'to_timestamp', 'to_char', 'date_trunc', 'date_part', 'extract', 'age',
               'nextval', 'random', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'session_user', 'current_user',
               'current_setting', 'inet_client_addr', 'pg_current_xact_id', 'pg_trigger_depth', 'text', 'concat',
               'concat_ws', 'format', 'to_json', 'to_jsonb', 'json_build_object', 'jsonb_build_object'])
),
stranger(what) AS (
    SELECT o.name || ' is no table' FROM o WHERE o.relkind NOT IN ('r', 'p')
    UNION ALL
    -- Its parent's key is computed.
    SELECT o.name || ' is a partition' FROM o
     WHERE o.relispartition AND NOT EXISTS (SELECT FROM pg_inherits i JOIN o parent ON parent.oid = i.inhparent WHERE i.inhrelid = o.oid)
    UNION ALL
    SELECT format('rule %I on %s', r.rulename, o.name)
      FROM o JOIN pg_rewrite r ON r.ev_class = o.oid WHERE o.relkind IN ('r', 'p')
    UNION ALL
    SELECT format('trigger %I on %s', t.tgname, o.name)
      FROM o JOIN pg_trigger t ON t.tgrelid = o.oid JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE o.written AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND NOT (%TRUSTED%)
    UNION ALL
    -- A query, of whatever is behind its names.
    SELECT e.what FROM expression e WHERE e.tree ~ '\{(QUERY|SUBLINK) '
    UNION ALL
    SELECT c.what FROM called c WHERE c.function NOT IN (SELECT h.oid FROM harmless h)
    UNION ALL
    SELECT y.what FROM type_ y LEFT JOIN pg_type t ON t.oid = y.type
     WHERE t.oid IS NULL
        OR t.typtype NOT IN ('b', 'e', 'd') AND t.oid NOT IN (SELECT o.reltype FROM o)
        OR t.typtype = 'd'
           AND (t.typbasetype >= 16384
                OR EXISTS (SELECT FROM pg_constraint k,
                                       regexp_matches(k.conbin::text, ':(\w*func)(?:id)? (\d+)', 'g') m(found)
                            WHERE k.contypid = t.oid AND m.found[2] <> '0'
                              AND m.found[2]::oid NOT IN (SELECT h.oid FROM harmless h)))
        OR EXISTS (SELECT FROM pg_cast k
                    WHERE y.type IN (k.castsource, k.casttarget) AND k.castfunc <> 0
                      AND k.castfunc NOT IN (SELECT h.oid FROM harmless h))
)
