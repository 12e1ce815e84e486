-- Wrong passwords of the last half hour since the last right one, oldest first.
SELECT extract(epoch FROM clock_timestamp() - f.created_at)::float8 AS ago,
       to_char((f.created_at + interval '15 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS until,
       coalesce(f.metadata = $2, false) AND f.created_at > clock_timestamp() - interval '10 seconds' AS pending
  FROM public.audit_log f
 WHERE f.user_id = $1 AND f.action = 'STEP_UP_AUTH_FAILURE' AND f.created_at > clock_timestamp() - interval '30 minutes'
   AND f.id > coalesce((SELECT max(s.id) FROM public.audit_log s
                         WHERE s.user_id = $1 AND s.action = 'STEP_UP_AUTH_SUCCESS'), 0)
 ORDER BY f.created_at, f.id
