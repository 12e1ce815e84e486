WITH every AS NOT MATERIALIZED (
    SELECT id, user_id, action, target_user_id, metadata, correlation_id, created_at, false AS archived
      FROM public.audit_log
    /* the archive */
), audit AS NOT MATERIALIZED (
    SELECT * FROM every
     WHERE created_at >= current_setting('markenmate.since')::timestamptz
       AND (current_setting('markenmate.action') = '' OR action = current_setting('markenmate.action'))
       AND (current_setting('markenmate.actor') = '' OR user_id = current_setting('markenmate.actor')
            OR user_id IN (SELECT u.id FROM public."user" u WHERE lower(u.email) = lower(current_setting('markenmate.actor'))))
)
