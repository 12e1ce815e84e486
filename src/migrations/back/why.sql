    SELECT string_agg(x.said, '; ' ORDER BY x.id) INTO why
      FROM (SELECT q.id, CASE WHEN u.id IS NULL THEN format('user %s is gone', q.id)
                              WHEN concat(u.role) <> 'admin' THEN format('%s is no admin any more', u.email)
                              WHEN m.email IS NOT NULL THEN format('%s had it, and %s has it now', u.email, m.email)
                              ELSE format('%s is one of several who had it', u.email) END AS said
              FROM markenmate_quarantine.%KEPT% q
              LEFT JOIN public."user" u ON u.id = q.id
              LEFT JOIN LATERAL (SELECT o.email FROM public."user" o WHERE o.is_master_admin LIMIT 1) m ON true
             ORDER BY q.id LIMIT 5) x;
