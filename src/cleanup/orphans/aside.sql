-- Rows that point to nothing go into markenmate_quarantine, with all that would be deleted or emptied along with them;
-- where a key would only have emptied a column, its value goes there. One statement, all of it or nothing.
DO $aside$
DECLARE
    -- What is looked for: a table, the condition on a row c of it, the columns that are emptied (none: the row goes), how.
    found constant jsonb := %FOUND%;
    work jsonb[] := ARRAY[]::jsonb[];
    next jsonb[];
    one jsonb;
    parent record;
    stamp constant text := to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS') || '_' || %TAG%;
    kept name;
    moved bigint;
    told jsonb := '[]';
BEGIN
    IF to_regnamespace('markenmate_quarantine') IS NULL THEN
        CREATE SCHEMA markenmate_quarantine;
    END IF;
    -- From the rows to what hangs on them, and what hangs on that.
    next := ARRAY(SELECT f FROM jsonb_array_elements(found) f);
    WHILE cardinality(next) > 0 LOOP
        work := next || work;
        IF cardinality(work) > 500 THEN
            RAISE EXCEPTION 'keys point round in a circle: these rows are to be seen to by hand' USING ERRCODE = 'MM194';
        END IF;
        next := ARRAY(
            SELECT jsonb_build_object('child', k.conrelid::regclass::text, 'condition',
                       format('(%s) IN (SELECT %s FROM %s c WHERE %s)', cols.child, cols.parent, k.confrelid::regclass, n ->> 'condition'),
                       'emptied', CASE WHEN k.confdeltype = 'n' THEN cols.bare END,
                       'nulls', CASE WHEN k.confdeltype = 'n' THEN cols.nulls END)
              FROM unnest(next) n
              JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = (n ->> 'child')::regclass AND k.confdeltype IN ('c', 'n')
             CROSS JOIN LATERAL (
                   SELECT string_agg(format('c.%I', a.attname), ', ' ORDER BY u.n) AS child,
                          string_agg(format('c.%I', b.attname), ', ' ORDER BY u.n) AS parent,
                          string_agg(format('%I', a.attname), ', ' ORDER BY u.n) AS bare,
                          string_agg(format('%I = NULL', a.attname), ', ' ORDER BY u.n) AS nulls
                     FROM unnest(k.conkey, k.confkey) WITH ORDINALITY u(child, parent, n)
                     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.child
                     JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.parent) cols
             WHERE n ->> 'emptied' IS NULL);
    END LOOP;
    -- What hangs deepest first; columns are emptied where the row stays.
    FOREACH one IN ARRAY work LOOP
        SELECT c.oid, c.relname, format('%s', c.oid::regclass) AS name,
               (SELECT string_agg(format('c.%I', a.attname), ', ' ORDER BY u.n)
                  FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY u(attnum, n)
                  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
                 WHERE i.indrelid = c.oid AND i.indisprimary) AS key
          INTO STRICT parent FROM pg_class c WHERE c.oid = (one ->> 'child')::regclass;
        kept := left(format('orphans_%s%s', parent.relname, '_' || replace(one ->> 'emptied', ', ', '_')), 33) || '_' || stamp
                || '_' || jsonb_array_length(told);
        IF one ->> 'emptied' IS NULL THEN
            EXECUTE format('CREATE TABLE markenmate_quarantine.%I (LIKE %s)', kept, parent.name);
            EXECUTE format('WITH gone AS (DELETE FROM %s c WHERE %s RETURNING c.*)
                            INSERT INTO markenmate_quarantine.%I SELECT * FROM gone', parent.name, one ->> 'condition', kept);
            GET DIAGNOSTICS moved = ROW_COUNT;
        ELSIF parent.key IS NULL THEN
            RAISE EXCEPTION '% has no primary key: who is to be emptied cannot be kept', parent.name USING ERRCODE = 'MM194';
        ELSE
            EXECUTE format('CREATE TABLE markenmate_quarantine.%I AS SELECT %s, %s FROM %s c WHERE %s FOR UPDATE', kept, parent.key,
                           one ->> 'emptied', parent.name, one ->> 'condition');
            GET DIAGNOSTICS moved = ROW_COUNT;
            -- An update of no row is somebody's loss to the guards.
            IF moved > 0 THEN
                EXECUTE format('UPDATE %s c SET %s WHERE %s', parent.name, one ->> 'nulls', one ->> 'condition');
            END IF;
        END IF;
        IF moved = 0 THEN
            EXECUTE format('DROP TABLE markenmate_quarantine.%I', kept);
            CONTINUE;
        END IF;
        INSERT INTO markenmate.set_aside (name, version, of_table, of_column, run_id, state)
        VALUES (kept, 0, parent.relname, one ->> 'emptied', %RUN%, 'orphans');
        told := told || jsonb_build_object('what', concat_ws('.', parent.name, one ->> 'emptied'), 'rows', moved,
                                           'kept_as', 'markenmate_quarantine.' || kept);
    END LOOP;
    PERFORM set_config('markenmate.told', told::text, true);
END
$aside$;
SELECT current_setting('markenmate.told') AS told
