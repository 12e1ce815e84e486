SELECT format('public."user" id %s', id) AS subject,
       format('%s is master admin and has role %s', email, role) AS detail,
       'markenmate set-master-admin USER --transfer --break-glass --reason TEXT' AS remedy
  FROM public."user"
 WHERE is_master_admin AND concat(role) <> 'admin'
 ORDER BY created_at, id
