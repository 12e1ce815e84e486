    WITH gone AS (
        DELETE FROM ONLY markenmate_quarantine.%KEPT% k
         WHERE NOT EXISTS (SELECT FROM public."user" u WHERE u.id = k.user_id)
        RETURNING k.*
    )
    INSERT INTO markenmate.audit_log_archive
           (id, user_id, action, target_user_id, metadata, ip_address, user_agent, correlation_id, created_at, reason)
    SELECT k.id, k.user_id, k.action, k.target_user_id, k.metadata, k.ip_address, k.user_agent, k.correlation_id,
           k.created_at, 'user deleted'
      FROM gone k;
    GET DIAGNOSTICS archived = ROW_COUNT;
