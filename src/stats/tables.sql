-- What only the server counts is not known where it has forgotten (a crash, a copy) or does not count (a standby).
SELECT v.metric, format('%I.%I', c.nspname, c.relname) AS "table", v.value
  FROM (SELECT n.nspname, c.relname, c.reltuples, pg_relation_size(c.oid) AS bytes, pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
               pg_total_relation_size(c.oid) AS total_bytes,
               pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_dead_tuples(c.oid) AS dead,
               pg_stat_get_tuples_inserted(c.oid) AS inserted, pg_stat_get_tuples_updated(c.oid) AS updated, pg_stat_get_tuples_deleted(c.oid) AS deleted,
               coalesce(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid),
                        pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL AS was_read,
               NOT pg_is_in_recovery() AS counts
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate', 'markenmate_quarantine')
         WHERE c.relkind = 'r') c
 CROSS JOIN LATERAL (VALUES
       ('table-bytes', c.total_bytes::float8),
       ('table-rows',
        CASE WHEN c.bytes = 0 THEN 0
             WHEN c.counts AND c.was_read THEN c.live
             -- Counted from the first row on, as far as can be told: no page was ever filled by less than a row.
             WHEN c.counts AND c.live > 0 AND c.inserted + c.updated >= greatest(c.reltuples, c.pages) THEN c.live
             -- As ANALYZE estimated them. Never analyzed: -1, and 0 before version 14.
             WHEN c.reltuples > 0 THEN c.reltuples END),
       ('table-dead-rows',
        CASE WHEN c.counts AND (c.bytes = 0 OR c.live + c.inserted + c.deleted > 0) THEN c.dead END),
       -- In a small table a few updates are most of it: nobody need vacuum that.
       ('table-dead-ratio',
        CASE WHEN c.counts AND c.dead >= 10000 THEN c.dead::float8 / (c.live + c.dead) END)) v(metric, value)
 WHERE v.value IS NOT NULL OR v.metric = 'table-rows'
 ORDER BY c.total_bytes DESC, 2
