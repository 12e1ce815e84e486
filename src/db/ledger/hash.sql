encode(sha256(convert_to(jsonb_build_array(
    f.previous_hash, f.number::text, to_char(f.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z" BC'),
    f.run_id, f.command, f.subject, f.outcome, f.detail, f.tool_version, f.os_user, f.host, f.database_user,
    f.client_address, f.transaction_id, f.reason, f.approved_by)::text, 'UTF8')), 'hex')
