-- Rows that point to nothing go into markenmate_quarantine, with all that would be deleted or emptied along with them;
-- where a key would only have emptied a column, its value goes there. One statement, all of it or nothing.
--
-- Rows are locked from the root down before anything is changed: whoever adds a row that hangs on a locked one waits
-- for us, and whoever did so before is waited for, so that no key deletes what was not kept.
DO $aside$
DECLARE
    -- What is looked for: a table, the condition on a row c of it, the columns that are emptied (none: the row goes), how.
    found constant jsonb := %FOUND%;
    stamp constant text := to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS') || '_' || %TAG%;
    -- Rows that go: of which table, and where they are.
    going constant text := format('markenmate_quarantine.%I', 'going_' || stamp);
    is_going constant text := format('EXISTS (SELECT FROM %s r WHERE r.relation = c.tableoid AND r.at = c.ctid)', going);
    keys jsonb;
    of oid[] := '{}';
    one jsonb;
    pass text;
    own_key text;
    same text;
    kept name;
    moved bigint;
    changed bigint;
    added bigint;
    deletes text[] := '{}';
    counts text[] := '{}';
    wanted bigint[] := '{}';
    gone bigint[];
    named text;
    many bigint;
    told jsonb := '[]';
BEGIN
    IF to_regnamespace('markenmate_quarantine') IS NULL THEN
        CREATE SCHEMA markenmate_quarantine;
    END IF;
    EXECUTE format('CREATE TABLE %s (of oid, relation oid, at tid, PRIMARY KEY (relation, at))', going);
    -- A key is followed from the rows that go: p is one of them.
    keys := (%KEYS%
             SELECT coalesce(jsonb_agg(to_jsonb(key) || jsonb_build_object('condition', format(
                        'EXISTS (SELECT FROM %s p JOIN %s r ON r.relation = p.tableoid AND r.at = p.ctid WHERE %s)', parent, going, matches))), '[]')
               FROM key);

    -- From the rows to what hangs on them, and what hangs on that, until nothing more does.
    LOOP
        added := 0;
        FOR one IN
            SELECT f FROM jsonb_array_elements(found) f WHERE f ->> 'emptied' IS NULL AND of = '{}'
             UNION ALL
            SELECT k FROM jsonb_array_elements(keys) k
             WHERE (k ->> 'inside')::boolean AND k ->> 'action' = 'c' AND (k ->> 'parent_oid')::oid = ANY (of)
        LOOP
            -- Whoever holds them may have changed what they hang on: they are looked at again once they are ours.
            FOREACH pass IN ARRAY ARRAY[
                'SELECT FROM %1$s c WHERE %2$s AND NOT %3$s FOR UPDATE OF c',
                'INSERT INTO %4$s SELECT %5$L::regclass, c.tableoid, c.ctid FROM %1$s c WHERE %2$s AND NOT %3$s FOR UPDATE OF c'] LOOP
                EXECUTE format(pass, one ->> 'child', one ->> 'condition', is_going, going, one ->> 'child');
            END LOOP;
            GET DIAGNOSTICS moved = ROW_COUNT;
            added := added + moved;
            IF moved > 0 AND (one ->> 'child')::regclass <> ALL (of) THEN
                of := of || (one ->> 'child')::regclass::oid;
            END IF;
        END LOOP;
        EXIT WHEN added = 0;
    END LOOP;

    %HANGS%

    -- Columns are emptied where the row stays.
    FOR one IN
        SELECT f FROM jsonb_array_elements(found) f WHERE f ->> 'emptied' IS NOT NULL
         UNION ALL
        SELECT k || jsonb_build_object('emptied', k -> 'child_columns') FROM jsonb_array_elements(keys) k
         WHERE (k ->> 'inside')::boolean AND k ->> 'action' IN ('n', 'd') AND (k ->> 'parent_oid')::oid = ANY (of)
    LOOP
        EXECUTE format('SELECT FROM %s c WHERE %s AND NOT %s FOR UPDATE OF c', one ->> 'child', one ->> 'condition', is_going);
        GET DIAGNOSTICS moved = ROW_COUNT;
        -- An update of no row is somebody's loss to the guards.
        CONTINUE WHEN moved = 0;
        SELECT string_agg(format('c.%I', a.attname), ', ' ORDER BY u.n), string_agg(format('c.%1$I = q.%1$I', a.attname), ' AND ')
          INTO own_key, same
          FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY u(attnum, n)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
         WHERE i.indrelid = (one ->> 'child')::regclass AND i.indisprimary;
        IF own_key IS NULL THEN
            RAISE EXCEPTION '% has no primary key: who is to be emptied cannot be kept', one ->> 'child' USING ERRCODE = 'MM194';
        END IF;
        kept := left(format('orphans_%s_%s', one ->> 'table_name', replace(one ->> 'emptied', ', ', '_')), 33) || '_' || stamp
                || '_' || jsonb_array_length(told);
        EXECUTE format('CREATE TABLE markenmate_quarantine.%I AS SELECT %s, %s FROM %s c WHERE %s AND NOT %s FOR UPDATE OF c', kept, own_key,
                       one ->> 'emptied', one ->> 'child', one ->> 'condition', is_going);
        GET DIAGNOSTICS moved = ROW_COUNT;
        IF moved = 0 THEN
            EXECUTE format('DROP TABLE markenmate_quarantine.%I', kept);
            CONTINUE;
        END IF;
        -- What is emptied is what was kept, value by value.
        EXECUTE format('UPDATE %s c SET %s FROM markenmate_quarantine.%I q WHERE %s AND ROW(%s)::text = ROW(%s)::text', one ->> 'child',
                       one ->> 'sets', kept, same,
                       (SELECT string_agg('c.' || n, ', ') FROM unnest(string_to_array(one ->> 'emptied', ', ')) n),
                       (SELECT string_agg('q.' || n, ', ') FROM unnest(string_to_array(one ->> 'emptied', ', ')) n));
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed <> moved THEN
            RAISE EXCEPTION '% of % values of %.% were emptied: a trigger of that table keeps the others', changed, moved, one ->> 'child',
                            one ->> 'emptied' USING ERRCODE = 'MM194';
        END IF;
        told := told || jsonb_build_object('what', concat_ws('.', one ->> 'child', one ->> 'emptied'), 'rows', moved, 'kept', kept,
                                           'table', one ->> 'table_name', 'column', one ->> 'emptied');
    END LOOP;

    -- All rows go in one statement: none of them is left for a key to see to.
    FOR one IN
        SELECT jsonb_build_object('child', format('%I.%I', n.nspname, c.relname), 'oid', c.oid, 'table_name', c.relname)
          FROM unnest(of) WITH ORDINALITY u(oid, n_) JOIN pg_class c ON c.oid = u.oid JOIN pg_namespace n ON n.oid = c.relnamespace
         ORDER BY u.n_
    LOOP
        kept := left('orphans_' || (one ->> 'table_name'), 33) || '_' || stamp || '_' || jsonb_array_length(told);
        pass := format('FROM %s r WHERE r.of = %L AND r.relation = c.tableoid AND r.at = c.ctid', going, one ->> 'oid');
        EXECUTE format('CREATE TABLE markenmate_quarantine.%I (LIKE %s)', kept, one ->> 'child');
        EXECUTE format('INSERT INTO markenmate_quarantine.%I SELECT c.* FROM %s c WHERE EXISTS (SELECT %s)', kept, one ->> 'child', pass);
        GET DIAGNOSTICS moved = ROW_COUNT;
        deletes := deletes || format('d%s AS (DELETE FROM %s c USING %s RETURNING 1)', cardinality(deletes), one ->> 'child', substr(pass, 6));
        counts := counts || format('(SELECT count(*) FROM d%s)', cardinality(counts));
        wanted := wanted || moved;
        EXECUTE format('SELECT count(*) FROM %s r WHERE r.of = %L', going, one ->> 'oid') INTO changed;
        IF changed <> moved THEN
            RAISE EXCEPTION '% of % rows of % could be kept: a trigger changed the others', moved, changed, one ->> 'child' USING ERRCODE = 'MM194';
        END IF;
        told := told || jsonb_build_object('what', one ->> 'child', 'rows', moved, 'kept', kept, 'table', one ->> 'table_name', 'column', NULL);
    END LOOP;
    IF cardinality(deletes) > 0 THEN
        EXECUTE format('WITH %s SELECT ARRAY[%s]', array_to_string(deletes, ', '), array_to_string(counts, ', ')) INTO gone;
        IF gone <> wanted THEN
            RAISE EXCEPTION '% of % rows went: a trigger keeps the others', gone, wanted USING ERRCODE = 'MM194';
        END IF;
    END IF;
    EXECUTE format('DROP TABLE %s', going);
    INSERT INTO markenmate.set_aside (name, version, of_table, of_column, run_id, state)
    SELECT t ->> 'kept', 0, t ->> 'table', t ->> 'column', %RUN%, 'orphans' FROM jsonb_array_elements(told) t;
    told := (SELECT coalesce(jsonb_agg(jsonb_build_object('what', t -> 'what', 'rows', t -> 'rows',
                                                          'kept_as', 'markenmate_quarantine.' || (t ->> 'kept'))), '[]')
               FROM jsonb_array_elements(told) t);
    PERFORM set_config('markenmate.told', told::text, true);
END
$aside$;
SELECT current_setting('markenmate.told') AS told
