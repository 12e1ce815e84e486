-- Users with what decides whether they may act. Columns that a version of the app may lack are read by
-- their name.
SELECT u.id::text AS id, u.email::text AS email, u.name::text AS name, u.role::text AS role,
       coalesce((r.j ->> 'is_master_admin')::boolean, false) AS is_master,
       to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
       dense_rank() OVER (ORDER BY u.created_at) AS rank,
       coalesce((r.j ->> 'must_change_password')::boolean, false) AS must_change_password,
       coalesce((r.j ->> 'banned')::boolean, false)
           AND coalesce((r.j ->> 'ban_expires')::timestamp with time zone > now(), true) AS banned,
       coalesce((r.j ->> 'two_factor_enabled')::boolean, false) AS two_factor,
       (SELECT json_agg(a.password ORDER BY a.id)::text FROM public.account a
         WHERE a.user_id = u.id AND a.provider_id = 'credential'
           AND coalesce(to_jsonb(a) ->> 'issuer', 'local:credential') = 'local:credential') AS credentials,
       (SELECT count(*) FROM public.session s WHERE s.user_id = u.id AND s.expires_at > now()) AS sessions
  FROM public."user" u CROSS JOIN LATERAL (SELECT to_jsonb(u) AS j) r
 WHERE
