-- What keeps aside.sql from its work, as far as it shows without a lock and without a change: rows that would go are
-- followed as they are there, and remembered.
DO $foreseen$
DECLARE
    found constant jsonb := %FOUND%;
    is_going constant text := 'EXISTS (SELECT FROM unnest($1, $2) r(relation, at) WHERE r.relation = c.tableoid AND r.at = c.ctid)';
    -- Rows that would go: of which table, and where they are.
    relations oid[] := '{}';
    ats tid[] := '{}';
    more_relations oid[];
    more_ats tid[];
    keys jsonb;
    of oid[] := '{}';
    one jsonb;
    moved bigint;
    added bigint;
    named text;
    many bigint;
BEGIN
    keys := (%KEYS%
             SELECT coalesce(jsonb_agg(to_jsonb(key) || jsonb_build_object('condition', format(
                        'EXISTS (SELECT FROM %s p JOIN unnest($1, $2) r(relation, at) ON r.relation = p.tableoid AND r.at = p.ctid WHERE %s)',
                        parent, matches))), '[]')
               FROM key);
    LOOP
        added := 0;
        FOR one IN
            SELECT f FROM jsonb_array_elements(found) f WHERE f ->> 'emptied' IS NULL AND of = '{}'
             UNION ALL
            SELECT k FROM jsonb_array_elements(keys) k
             WHERE (k ->> 'inside')::boolean AND k ->> 'action' = 'c' AND (k ->> 'parent_oid')::oid = ANY (of)
        LOOP
            EXECUTE format('SELECT array_agg(c.tableoid), array_agg(c.ctid) FROM %s c WHERE %s AND NOT %s', one ->> 'child',
                           one ->> 'condition', is_going) INTO more_relations, more_ats USING relations, ats;
            CONTINUE WHEN more_ats IS NULL;
            relations := relations || more_relations;
            ats := ats || more_ats;
            added := added + cardinality(more_ats);
            IF (one ->> 'child')::regclass <> ALL (of) THEN
                of := of || (one ->> 'child')::regclass::oid;
            END IF;
        END LOOP;
        EXIT WHEN added = 0;
    END LOOP;

    %HANGS%

    FOR one IN
        SELECT f FROM jsonb_array_elements(found) f WHERE f ->> 'emptied' IS NOT NULL
         UNION ALL
        SELECT k FROM jsonb_array_elements(keys) k
         WHERE (k ->> 'inside')::boolean AND k ->> 'action' IN ('n', 'd') AND (k ->> 'parent_oid')::oid = ANY (of)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = (one ->> 'child')::regclass AND i.indisprimary);
        EXECUTE format('SELECT count(*) FROM %s c WHERE %s AND NOT %s', one ->> 'child', one ->> 'condition', is_going)
           INTO moved USING relations, ats;
        IF moved > 0 THEN
            RAISE EXCEPTION '% has no primary key: who is to be emptied cannot be kept', one ->> 'child' USING ERRCODE = 'MM194';
        END IF;
    END LOOP;
END
$foreseen$
