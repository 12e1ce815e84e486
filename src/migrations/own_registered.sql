-- What a rollback keeps, by its names: what it is of, and when it was set aside.
INSERT INTO markenmate.set_aside (name, version, of_table, of_column, set_aside_at)
SELECT c.relname, p.version, p.of_table, p.of_column,
       to_timestamp(substring(c.relname FROM '_([0-9]{8}t[0-9]{6})'), 'YYYYMMDD"t"HH24MISS')
  FROM pg_class c
  JOIN (VALUES %PARTS%) p(version, of_table, of_column)
    ON c.relname ~ ('^' || concat_ws('_', p.of_table, p.of_column) || '_[0-9]{8}t[0-9]{6}')
 WHERE c.relnamespace = to_regnamespace('markenmate_quarantine') AND c.relkind = 'r'
ON CONFLICT DO NOTHING;
