    UNION ALL
    SELECT id, user_id, action, target_user_id, metadata, correlation_id, created_at, true
      FROM markenmate.audit_log_archive
