-- A time that RFC 3339 cannot write is none: infinite, before the year 1, after 9999. Such a row is in every window.
WITH every AS NOT MATERIALIZED (
    SELECT id, user_id, action, target_user_id, metadata, correlation_id,
           CASE WHEN created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00' THEN created_at END AS created_at, false AS archived
      FROM public.audit_log
    /* the archive */
), named AS NOT MATERIALIZED (
    SELECT * FROM every
     WHERE (current_setting('markenmate.action') = '' OR action = current_setting('markenmate.action'))
       AND (current_setting('markenmate.actor') = '' OR user_id = current_setting('markenmate.actor')
            OR user_id IN (SELECT u.id FROM public."user" u WHERE lower(u.email) = lower(current_setting('markenmate.actor'))))
), audit AS NOT MATERIALIZED (
    SELECT * FROM named WHERE created_at >= current_setting('markenmate.since')::timestamptz OR created_at IS NULL
)
