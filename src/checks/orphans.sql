, orphan AS (
    -- Counted by query_to_xml: plain SQL that runs in READ ONLY and needs no libxml.
    SELECT key.*, loose, format('FROM %s c WHERE %s', child, loose) AS rest
      FROM key
     CROSS JOIN LATERAL (SELECT format('%s AND NOT EXISTS (SELECT FROM %s p WHERE %s)', filled, parent, matches) AS loose) l
     WHERE inside
), counted AS MATERIALIZED (
    -- The example travels as hex: XML would change some of its characters.
    SELECT orphan.*, query_to_xml(format(
               'SELECT count(*) || '' '' || encode(convert_to(left(min(concat_ws('', '', %s)), 60), getdatabaseencoding()), ''hex'') AS n %s',
               texts, rest), true, true, '')::text AS answer
      FROM orphan
), found AS (
    SELECT counted.*, substring(answer FROM '<n>([0-9]+) ')::bigint AS n,
           convert_from(decode(substring(answer FROM '<n>[0-9]+ ([0-9a-f]*)</n>'), 'hex'), getdatabaseencoding()) AS example
      FROM counted
)
SELECT format('%s.%s', child, CASE WHEN strpos(child_columns, ', ') > 0 THEN '(' || child_columns || ')'
                                   ELSE child_columns END) AS subject,
       format('%s row(s) point to nothing in %s (%s), for example %s', n, parent, parent_columns, example) AS detail,
       -- Listed, not deleted: what to do with them is for people to decide.
       format('SELECT * %s;  -- look first; to set them aside, where they can be put back from: markenmate cleanup orphans', rest) AS remedy,
       -- For those who do so.
       n, child, table_name, loose AS condition, CASE WHEN action IN ('n', 'd') THEN child_columns END AS emptied,
       CASE WHEN action IN ('n', 'd') THEN sets END AS sets
  FROM found
 WHERE n > 0
 ORDER BY 1
