-- What was set aside as pointing to nothing goes back, as far as its keys, the app's own that were lost among them,
-- find their rows again; the rest stays, and why is said.
DO $back$
DECLARE
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
                    EXECUTE format('WITH back AS (DELETE FROM markenmate_quarantine.%I c WHERE %s AND %s RETURNING c.*)
                                    INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM back', part.name, takes, fits, part.into_,
                                   columns, columns);
                    GET DIAGNOSTICS moved = ROW_COUNT;
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
        EXIT WHEN progress = 0;
    END LOOP;
    PERFORM set_config('markenmate.told', told::text, true);
END
$back$;
SELECT current_setting('markenmate.told') AS told
