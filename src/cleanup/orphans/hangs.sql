-- A key that deletes nothing, and what is not put back from where it would go.
    FOR one IN
        SELECT k FROM jsonb_array_elements(keys) k
         WHERE (k ->> 'parent_oid')::oid = ANY (of) AND (k ->> 'action' IN ('a', 'r') OR NOT (k ->> 'inside')::boolean)
    LOOP
        EXECUTE format('SELECT count(*) FROM %s c WHERE %s AND NOT %s', one ->> 'child', one ->> 'condition', is_going) INTO moved %USING%;
        CONTINUE WHEN moved = 0;
        -- By the values that they hang by: who looks at them is not to look for them among all others.
        EXECUTE format('WITH named AS (SELECT DISTINCT concat(%s) AS v FROM %s c WHERE %s AND NOT %s)
                        SELECT (SELECT string_agg(v, '', '' ORDER BY v) FROM (SELECT v FROM named ORDER BY v LIMIT 20) f), count(*) FROM named',
                       (SELECT format(CASE count(*) WHEN 1 THEN '%s' ELSE '''('', %s, '')''' END,
                                      string_agg(format('quote_literal(c.%I)', n), ', '', '', ' ORDER BY o))
                          FROM jsonb_array_elements_text(one -> 'names') WITH ORDINALITY u(n, o)),
                       one ->> 'child', one ->> 'condition', is_going) INTO named, many %USING%;
        RAISE EXCEPTION USING ERRCODE = 'MM194',
            MESSAGE = format('%s row(s) of %s hang on rows of %s that point to nothing, by key %I: nothing was set aside',
                             moved, one ->> 'child', one ->> 'parent', one ->> 'name'),
            HINT = format('see to them first: SELECT * FROM %s c WHERE (%s) IN (%s);%s', one ->> 'child',
                          (SELECT string_agg(format('c.%I', n), ', ' ORDER BY o)
                             FROM jsonb_array_elements_text(one -> 'names') WITH ORDINALITY u(n, o)), named,
                          CASE WHEN many > 20 THEN format('  -- 20 of %s values', many) END);
    END LOOP;
