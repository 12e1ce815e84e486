-- Whether statements are counted here, and whether all of them are shown to us.
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements') AS is_made,
       current_setting('pg_stat_statements.max', true) IS NOT NULL AS is_loaded,
       pg_has_role('pg_read_all_stats', 'USAGE') AS shows_all,
       current_user::text AS role,
       -- What keeps it from counting. The setting is there from version 14 on.
       CASE WHEN (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'compute_query_id') = 'off'
            THEN 'compute_query_id = off'
            WHEN (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'pg_stat_statements.track') = 'none'
            THEN 'pg_stat_statements.track = none' END AS off
