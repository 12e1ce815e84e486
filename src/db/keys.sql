-- Every foreign key, and the app's own where a restore lost the constraint: common table expressions, the last of
-- which is `key`; a row of the child is `c` there, one of the parent `p`.
WITH known(child, child_column, parent, parent_column, set_null) AS (VALUES
        ('account', 'user_id', 'user', 'id', false),
        ('app_log', 'user_id', 'user', 'id', true),
        ('audit_log', 'target_user_id', 'user', 'id', true),
        ('audit_log', 'user_id', 'user', 'id', false),
        ('db_backup', 'created_by_admin_id', 'user', 'id', false),
        ('favorite', 'menu_item_id', 'menu_item', 'id', false),
        ('favorite', 'restaurant_id', 'restaurant', 'id', false),
        ('favorite', 'user_id', 'user', 'id', false),
        ('menu_item', 'restaurant_id', 'restaurant', 'id', false),
        ('order_history', 'restaurant_id', 'restaurant', 'id', false),
        ('order_history', 'user_id', 'user', 'id', false),
        ('order_history_item', 'order_history_id', 'order_history', 'id', false),
        ('session', 'user_id', 'user', 'id', false),
        ('step_up_token', 'user_id', 'user', 'id', false),
        ('ticket', 'assigned_to_admin_id', 'user', 'id', true),
        ('ticket', 'closed_by_admin_id', 'user', 'id', true),
        ('ticket', 'user_id', 'user', 'id', false),
        ('ticket_comment', 'ticket_id', 'ticket', 'id', false),
        ('ticket_comment', 'user_id', 'user', 'id', false),
        ('token_lending', 'lend_to_user_id', 'user', 'id', false),
        ('token_lending', 'user_id', 'user', 'id', false)
), declared AS (
    SELECT k.conname, k.conrelid AS child, k.confrelid AS parent, k.conkey AS child_columns, k.confkey AS parent_columns,
           k.conpfeqop AS equals, k.confdeltype AS action
      FROM pg_constraint k
     WHERE k.contype = 'f' AND k.conparentid = 0
), lost AS (
    SELECT c.oid AS child, p.oid AS parent, ARRAY[a.attnum] AS child_columns, ARRAY[b.attnum] AS parent_columns,
           CASE WHEN known.set_null THEN 'n'::"char" ELSE 'c'::"char" END AS action
      FROM known
      JOIN pg_namespace n ON n.nspname = 'public'
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = known.child AND c.relkind IN ('r', 'p')
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = known.child_column AND NOT a.attisdropped
      JOIN pg_class p ON p.relnamespace = n.oid AND p.relname = known.parent AND p.relkind IN ('r', 'p')
      -- Types that differ are a matter of the contract.
      JOIN pg_attribute b ON b.attrelid = p.oid AND b.attname = known.parent_column AND NOT b.attisdropped
                         AND b.atttypid = a.atttypid
     WHERE NOT EXISTS (SELECT FROM declared d
                        WHERE d.child = c.oid AND d.parent = p.oid AND d.child_columns = ARRAY[a.attnum]
                          AND d.parent_columns = ARRAY[b.attnum])
), relation AS (
    SELECT c.oid, c.relname, n.nspname = 'public' AS inside, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
), key AS (
    SELECT k.conname AS name, c.oid AS child_oid, c.name AS child, c.relname AS table_name, c.inside, p.oid AS parent_oid,
           p.name AS parent, k.action, cols.*
      FROM (SELECT conname, child, parent, child_columns, parent_columns, equals, action FROM declared
            UNION ALL
            SELECT NULL, child, parent, child_columns, parent_columns, NULL, action FROM lost) k
      JOIN relation c ON c.oid = k.child
      JOIN relation p ON p.oid = k.parent
     CROSS JOIN LATERAL (
           SELECT array_agg(a.attname::text ORDER BY u.n) AS names, array_agg(b.attname::text ORDER BY u.n) AS parent_names,
                  string_agg(format('%I', a.attname), ', ' ORDER BY u.n) AS child_columns,
                  string_agg(format('%I', b.attname), ', ' ORDER BY u.n) AS parent_columns,
                  string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ' ORDER BY u.n) AS filled,
                  string_agg(format('p.%I %s c.%I', b.attname,
                                    CASE WHEN e.nspname <> 'pg_catalog' THEN format('OPERATOR(%I.%s)', e.nspname, o.oprname)
                                         ELSE '=' END, a.attname),
                             ' AND ' ORDER BY u.n) AS matches,
                  string_agg(format('concat(c.%I)', a.attname), ', ' ORDER BY u.n) AS texts,
                  string_agg(format('%I = %s', a.attname, CASE WHEN k.action = 'd' THEN 'DEFAULT' ELSE 'NULL' END), ', '
                             ORDER BY u.n) AS sets
             FROM unnest(k.child_columns, k.parent_columns, k.equals) WITH ORDINALITY u(child, parent, op, n)
             JOIN pg_attribute a ON a.attrelid = k.child AND a.attnum = u.child
             JOIN pg_attribute b ON b.attrelid = k.parent AND b.attnum = u.parent
             LEFT JOIN pg_operator o ON o.oid = u.op
             LEFT JOIN pg_namespace e ON e.oid = o.oprnamespace) cols
)
