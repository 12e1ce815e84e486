-- What was set aside as pointing to nothing goes back, as far as its keys, the app's own that were lost among them,
-- find their rows again; the rest stays, and why is said.
DO $back$
DECLARE
    -- Rows that may go back together: of which table, and where they are.
    waiting constant text := format('markenmate_quarantine.%I', 'waiting_' || %TAG%);
    parts jsonb;
    one jsonb;
    gone bigint;
    came bigint[];
    backs text[];
    part record;
    columns text;
    pairs text;
    takes text;
    fits text;
    reasons text;
    moved bigint;
    remain bigint;
    progress bigint;
    why jsonb;
    counts jsonb := '{}';
    told jsonb := '[]';
BEGIN
    -- A row may wait for another that is set aside as well: once more, until nothing moves. The last round tells.
    LOOP
        progress := 0;
        told := '[]';
        FOR part IN
            SELECT s.name, s.of_table, s.of_column, s.set_aside_at, c.oid AS kept, t.oid AS target, s.state,
                   format('%I.%I', 'public', t.relname) AS into_
              FROM markenmate.set_aside s
              LEFT JOIN pg_class c ON c.relname = s.name AND c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relkind = 'r'
              JOIN pg_class t ON t.relname = s.of_table AND t.relnamespace = to_regnamespace('public') AND t.relkind IN ('r', 'p')
             WHERE s.state = 'orphans' AND c.oid IS NOT NULL OR counts ? s.name
             ORDER BY s.of_column IS NOT NULL, s.set_aside_at, regexp_replace(s.name, '^.*_', '')::integer
        LOOP
            moved := 0;
            remain := 0;
            why := '[]';
            IF part.state = 'orphans' THEN
                -- Every key whose columns are kept finds its row.
                %KEYS%
                SELECT coalesce(string_agg(k.takes, ' AND '), 'true'),
                       coalesce(string_agg(format('SELECT %L AS reason, count(*) AS n FROM markenmate_quarantine.%I c WHERE NOT %s',
                                                  format('%s finds no row in %s', k.child_columns, k.parent), part.name, k.takes),
                                           ' UNION ALL ') || ' UNION ALL ', ''),
                       coalesce(string_agg(k.defaults, ' AND '), '')
                  INTO takes, reasons, fits
                  FROM (SELECT key.*, format('(NOT (%s) OR EXISTS (SELECT FROM %s p WHERE %s))', filled, parent, matches) AS takes,
                               -- What the key would have set.
                               CASE WHEN action = 'd' AND child_columns = part.of_column THEN
                                   (SELECT string_agg(format('(t.%1$I IS NULL OR ROW(t.%1$I)::text = ROW(%2$s)::text)', a.attname,
                                                             coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL')), ' AND ')
                                      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                                     WHERE a.attrelid = child_oid AND a.attname = ANY (names))
                               END AS defaults
                          FROM key) k
                 WHERE k.child_oid = part.target
                   AND k.names <@ ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = part.kept AND a.attnum > 0);
                SELECT string_agg(format('t.%1$I = c.%1$I', a.attname), ' AND ') INTO pairs
                  FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) u(attnum)
                  JOIN pg_attribute a ON a.attrelid = part.target AND a.attnum = u.attnum
                 WHERE i.indrelid = part.target AND i.indisprimary;
                pairs := coalesce(pairs, 'false');
                IF part.of_column IS NULL THEN
                    SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) INTO columns
                      FROM pg_attribute a
                     WHERE a.attrelid = part.kept AND a.attnum > 0 AND NOT a.attisdropped
                       AND NOT EXISTS (SELECT FROM pg_attribute b
                                        WHERE b.attrelid = part.target AND b.attname = a.attname AND b.attgenerated <> '');
                    fits := format('NOT EXISTS (SELECT FROM %s t WHERE %s)', part.into_, pairs);
                    reasons := reasons || format('SELECT ''a row of the same primary key is there'', count(*) FROM markenmate_quarantine.%I c WHERE NOT %s',
                                                 part.name, fits);
                    EXECUTE format('WITH back AS (DELETE FROM markenmate_quarantine.%I c WHERE %s AND %s RETURNING c.*),
                                         came AS (INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM back RETURNING 1)
                                    SELECT (SELECT count(*) FROM back), (SELECT count(*) FROM came)', part.name, takes, fits, part.into_,
                                   columns, columns) INTO gone, moved;
                    IF gone <> moved THEN
                        RAISE EXCEPTION '% of % rows came back into %: a trigger keeps the others', moved, gone, part.into_
                              USING ERRCODE = 'MM194';
                    END IF;
                ELSE
                    SELECT string_agg(format('%1$s = c.%1$s', u), ', '),
                           coalesce(nullif(fits, ''), string_agg(format('t.%s IS NULL', u), ' AND ')) INTO columns, fits
                      FROM unnest(string_to_array(part.of_column, ', ')) u;
                    reasons := reasons || format('SELECT ''the row is gone, or has another value by now'', count(*) FROM markenmate_quarantine.%I c
                                                   WHERE NOT EXISTS (SELECT FROM %s t WHERE %s AND %s)', part.name, part.into_, pairs, fits);
                    -- An update of no row is somebody's loss to the guards.
                    EXECUTE format('SELECT count(*) FROM %s t JOIN markenmate_quarantine.%I c ON %s WHERE %s AND %s', part.into_, part.name, pairs,
                                   fits, takes) INTO moved;
                    IF moved > 0 THEN
                        EXECUTE format('WITH back AS (UPDATE %s t SET %s FROM markenmate_quarantine.%I c WHERE %s AND %s AND %s RETURNING c.ctid AS at)
                                        DELETE FROM markenmate_quarantine.%I c USING back WHERE c.ctid = back.at', part.into_, columns, part.name,
                                       pairs, fits, takes, part.name);
                        GET DIAGNOSTICS moved = ROW_COUNT;
                    END IF;
                END IF;
                EXECUTE format('SELECT count(*) FROM markenmate_quarantine.%I', part.name) INTO remain;
                UPDATE markenmate.set_aside SET returned = returned + moved WHERE name = part.name;
                IF remain = 0 THEN
                    EXECUTE format('DROP TABLE markenmate_quarantine.%I', part.name);
                    UPDATE markenmate.set_aside SET state = 'returned', finished_at = now() WHERE name = part.name;
                ELSE
                    EXECUTE format('SELECT coalesce(jsonb_agg(format(''%%s: %%s'', n, reason)), ''[]'') FROM (%s) r(reason, n) WHERE n > 0', reasons)
                       INTO why;
                END IF;
            END IF;
            progress := progress + moved;
            counts := counts || jsonb_build_object(part.name, coalesce((counts ->> part.name)::bigint, 0) + moved);
            told := told || jsonb_build_object('what', concat_ws('.', part.into_, part.of_column), 'rows', counts -> part.name, 'left', remain,
                                               'why', why, 'name', part.name,
                                               'since', to_char(part.set_aside_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'));
        END LOOP;
        CONTINUE WHEN progress > 0;

        -- What is left may wait for one another in a circle. No key can be deferred, but each is looked at when the statement
        -- ends: all of a circle, in however many tables, goes back in one.
        %KEYS%
        , whole AS (
            SELECT s.name, t.oid AS target, format('public.%I', t.relname) AS into_,
                   row_number() OVER (ORDER BY s.set_aside_at, regexp_replace(s.name, '^.*_', '')::integer) AS n,
                   (SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS has,
                   (SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                       AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = t.oid AND b.attname = a.attname AND b.attgenerated <> '')) AS columns,
                   coalesce((SELECT string_agg(format('t.%1$I = c.%1$I', a.attname), ' AND ')
                               FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) u(attnum)
                               JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.attnum
                              WHERE i.indrelid = t.oid AND i.indisprimary), 'false') AS pairs
              FROM markenmate.set_aside s
              JOIN pg_class c ON c.relname = s.name AND c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relkind = 'r'
              JOIN pg_class t ON t.relname = s.of_table AND t.relnamespace = to_regnamespace('public') AND t.relkind IN ('r', 'p')
             WHERE s.state = 'orphans' AND s.of_column IS NULL
        )
        SELECT jsonb_agg(to_jsonb(w) || jsonb_build_object('takes', coalesce((
                   SELECT string_agg(format('(NOT (%s) OR EXISTS (SELECT FROM %s p WHERE %s)%s)', k.filled, k.parent, k.matches, (
                              SELECT string_agg(format(' OR EXISTS (SELECT FROM markenmate_quarantine.%I p JOIN %s w ON w.part = %L AND w.at = p.ctid WHERE %s)',
                                                       q.name, waiting, q.name, k.matches), '')
                                FROM whole q WHERE q.target = k.parent_oid AND k.parent_names <@ q.has)), ' AND ')
                     FROM key k WHERE k.child_oid = w.target AND k.names <@ w.has), 'true')) ORDER BY w.n)
          INTO parts FROM whole w;
        EXIT WHEN parts IS NULL;
        EXECUTE format('CREATE TABLE %s (part name, at tid, PRIMARY KEY (part, at))', waiting);
        FOR one IN SELECT w FROM jsonb_array_elements(parts) w LOOP
            EXECUTE format('INSERT INTO %s SELECT %L, c.ctid FROM markenmate_quarantine.%I c
                             WHERE NOT EXISTS (SELECT FROM %s t WHERE %s)', waiting, one ->> 'name', one ->> 'name', one ->> 'into_', one ->> 'pairs');
        END LOOP;
        -- Who finds no row, not even among those that wait, waits in vain; and whoever waited for it.
        LOOP
            gone := 0;
            FOR one IN SELECT w FROM jsonb_array_elements(parts) w LOOP
                EXECUTE format('DELETE FROM %s r USING markenmate_quarantine.%I c WHERE r.part = %L AND r.at = c.ctid AND NOT (%s)', waiting,
                               one ->> 'name', one ->> 'name', one ->> 'takes');
                GET DIAGNOSTICS moved = ROW_COUNT;
                gone := gone + moved;
            END LOOP;
            CONTINUE WHEN gone > 0;
            -- Of two of the same primary key only the first.
            FOR one IN
                SELECT l || jsonb_build_object('first', f -> 'name') FROM jsonb_array_elements(parts) f CROSS JOIN jsonb_array_elements(parts) l
                 WHERE f ->> 'target' = l ->> 'target' AND (f ->> 'n')::integer < (l ->> 'n')::integer
            LOOP
                EXECUTE format('DELETE FROM %s r USING markenmate_quarantine.%I c WHERE r.part = %L AND r.at = c.ctid
                                   AND EXISTS (SELECT FROM markenmate_quarantine.%I t JOIN %s w ON w.part = %L AND w.at = t.ctid WHERE %s)', waiting,
                               one ->> 'name', one ->> 'name', one ->> 'first', waiting, one ->> 'first', one ->> 'pairs');
                GET DIAGNOSTICS moved = ROW_COUNT;
                gone := gone + moved;
            END LOOP;
            EXIT WHEN gone = 0;
        END LOOP;
        backs := '{}';
        FOR one IN SELECT w FROM jsonb_array_elements(parts) w LOOP
            backs := backs || format('b%1$s AS (DELETE FROM markenmate_quarantine.%2$I c USING %3$s w WHERE w.part = %2$L AND w.at = c.ctid RETURNING c.*),
                                      i%1$s AS (INSERT INTO %4$s (%5$s) OVERRIDING SYSTEM VALUE SELECT %5$s FROM b%1$s RETURNING 1)',
                                     one ->> 'n', one ->> 'name', waiting, one ->> 'into_', one ->> 'columns');
        END LOOP;
        EXECUTE format('WITH %s SELECT ARRAY[%s]', array_to_string(backs, ', '),
                       (SELECT string_agg(format('(SELECT count(*) FROM i%s)', w ->> 'n'), ', ') FROM jsonb_array_elements(parts) w)) INTO came;
        FOR one IN SELECT w FROM jsonb_array_elements(parts) w LOOP
            moved := came[(one ->> 'n')::integer];
            EXECUTE format('SELECT count(*) FROM %s w WHERE w.part = %L', waiting, one ->> 'name') INTO gone;
            IF gone <> moved THEN
                RAISE EXCEPTION '% of % rows came back into %: a trigger keeps the others', moved, gone, one ->> 'into_' USING ERRCODE = 'MM194';
            END IF;
            UPDATE markenmate.set_aside SET returned = returned + moved WHERE name = one ->> 'name';
            counts := counts || jsonb_build_object(one ->> 'name', coalesce((counts ->> (one ->> 'name'))::bigint, 0) + moved);
            progress := progress + moved;
        END LOOP;
        EXECUTE format('DROP TABLE %s', waiting);
        EXIT WHEN progress = 0;
    END LOOP;
    PERFORM set_config('markenmate.told', told::text, true);
END
$back$;
SELECT current_setting('markenmate.told') AS told
