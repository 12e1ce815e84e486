SELECT format('public."user" id %s', id) AS subject,
       format('%s is master admin and has role %s', email, role) AS detail,
       CASE WHEN id ~ '^[A-Za-z0-9_-]+$'
            THEN format('UPDATE public."user" SET is_master_admin = false WHERE id = %L;', id)
            ELSE 'UPDATE public."user" SET is_master_admin = false WHERE is_master_admin AND role <> ''admin'';'
       END AS remedy
  FROM public."user"
 WHERE is_master_admin AND concat(role) <> 'admin'
 ORDER BY created_at, id
