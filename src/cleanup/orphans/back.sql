-- What was set aside as pointing to nothing goes back, as far as its keys take it; the rest stays.
DO $back$
DECLARE
    part record;
    columns text;
    key text;
    takes text;
    same text;
    moved bigint;
    remain bigint;
    told jsonb := '[]';
BEGIN
    -- What went last, the rows themselves, comes back first.
    FOR part IN
        SELECT s.name, s.of_table, s.of_column, c.oid AS kept, t.oid AS target
          FROM markenmate.set_aside s
          JOIN pg_class c ON c.relname = s.name AND c.relnamespace = to_regnamespace('markenmate_quarantine')
          JOIN pg_class t ON t.relname = s.of_table AND t.relnamespace = to_regnamespace('public')
         WHERE s.state = 'orphans'
         ORDER BY s.of_column IS NOT NULL, s.set_aside_at, regexp_replace(s.name, '^.*_', '')::integer DESC
    LOOP
        -- Every key that the table has finds its row.
        SELECT coalesce(string_agg(format('(%s OR EXISTS (SELECT FROM %s p WHERE %s))', cols.empty, k.confrelid::regclass, cols.matches),
                                   ' AND '), 'true')
          INTO takes
          FROM pg_constraint k
         CROSS JOIN LATERAL (
               SELECT string_agg(format('q.%I IS NULL', a.attname), ' OR ') AS empty,
                      string_agg(format('p.%I = q.%I', b.attname, a.attname), ' AND ') AS matches,
                      bool_and(part.of_column IS NULL OR a.attname = ANY (string_to_array(replace(part.of_column, '"', ''), ', '))) AS here
                 FROM unnest(k.conkey, k.confkey) WITH ORDINALITY u(child, parent, n)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.child
                 JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.parent) cols
         WHERE k.contype = 'f' AND k.conrelid = part.target AND cols.here;
        SELECT string_agg(format('c.%1$I = q.%1$I', a.attname), ' AND ') INTO key
          FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) u(attnum)
          JOIN pg_attribute a ON a.attrelid = part.target AND a.attnum = u.attnum
         WHERE i.indrelid = part.target AND i.indisprimary;
        IF part.of_column IS NULL THEN
            SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) INTO columns
              FROM pg_attribute a WHERE a.attrelid = part.kept AND a.attnum > 0 AND NOT a.attisdropped;
            EXECUTE format('WITH back AS (DELETE FROM markenmate_quarantine.%I q WHERE %s AND NOT EXISTS (SELECT FROM %s c WHERE %s) RETURNING q.*)
                            INSERT INTO %s (%s) SELECT %s FROM back', part.name, takes, part.target::regclass, coalesce(key, 'false'),
                           part.target::regclass, columns, columns);
        ELSE
            SELECT string_agg(format('%1$s = q.%1$s', u), ', '), string_agg(format('c.%s IS NULL', u), ' AND ') INTO columns, same
              FROM unnest(string_to_array(part.of_column, ', ')) u;
            EXECUTE format('WITH back AS (UPDATE %s c SET %s FROM markenmate_quarantine.%I q WHERE %s AND %s AND %s RETURNING q.ctid AS at)
                            DELETE FROM markenmate_quarantine.%I q USING back WHERE q.ctid = back.at', part.target::regclass, columns,
                           part.name, key, same, takes, part.name);
        END IF;
        GET DIAGNOSTICS moved = ROW_COUNT;
        EXECUTE format('SELECT count(*) FROM markenmate_quarantine.%I', part.name) INTO remain;
        UPDATE markenmate.set_aside SET returned = returned + moved WHERE name = part.name;
        IF remain = 0 THEN
            EXECUTE format('DROP TABLE markenmate_quarantine.%I', part.name);
            UPDATE markenmate.set_aside SET state = 'returned', finished_at = now() WHERE name = part.name;
        END IF;
        told := told || jsonb_build_object('what', concat_ws('.', part.target::regclass, part.of_column), 'rows', moved, 'left', remain);
    END LOOP;
    PERFORM set_config('markenmate.told', told::text, true);
END
$back$;
SELECT current_setting('markenmate.told') AS told
