-- What only the server counts is not known where it has forgotten (a crash, a copy) or does not count (a standby).
SELECT v.metric, format('%I.%I', c.nspname, c.relname) AS "table", v.value
  FROM (SELECT c.*,
               -- It looked at the table itself since, or has counted the table from its first row on: with what it counted
               -- the pages are full. Rows from before it forgot have no place there; a tenth may lack, and a last page's end.
               NOT pg_is_in_recovery()
               AND (c.bytes = 0 OR c.was_read OR c.live > 0 AND 1.1 * c.live + c.dead >= c.page_rows * c.pages) AS is_counted
          FROM (SELECT n.nspname, c.relname, c.reltuples, pg_relation_size(c.oid) AS bytes,
                       pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
                       pg_total_relation_size(c.oid) AS total_bytes,
                       pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_dead_tuples(c.oid) AS dead,
                       coalesce(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid),
                                pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL AS was_read,
                       -- Rows on a page, when it was last analyzed. Never analyzed (-1, and 0 before version 14): as many
                       -- as can be. A row is 28 bytes, and what its columns need at least, to a multiple of 8.
                       CASE WHEN c.reltuples > 0 THEN c.reltuples / greatest(c.relpages, 1)
                            ELSE (current_setting('block_size')::int - 24) / (28 + 8 * ceil(w.width / 8.0))::int END AS page_rows
                  FROM pg_catalog.pg_class c
                  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
                 CROSS JOIN LATERAL (SELECT coalesce(sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 1 END), 0) AS width
                                       FROM pg_catalog.pg_attribute a
                                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) w
                 WHERE c.relkind = 'r') c) c
 CROSS JOIN LATERAL (VALUES
       ('table-bytes', c.total_bytes::float8),
       ('table-rows',
        CASE WHEN c.bytes = 0 THEN 0
             WHEN c.is_counted THEN c.live
             -- As ANALYZE estimated them.
             WHEN c.reltuples > 0 THEN c.reltuples END),
       ('table-dead-rows', CASE WHEN c.is_counted THEN c.dead END),
       -- In a small table a few updates are most of it: nobody need vacuum that.
       ('table-dead-ratio',
        CASE WHEN c.is_counted AND c.dead >= 10000 THEN c.dead::float8 / (c.live + c.dead) END)) v(metric, value)
 WHERE v.value IS NOT NULL OR v.metric = 'table-rows'
 ORDER BY c.total_bytes DESC, 2
