    UNION ALL
    SELECT id, user_id, action, target_user_id, metadata, correlation_id,
           CASE WHEN created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00' THEN created_at END, true
      FROM markenmate.audit_log_archive
