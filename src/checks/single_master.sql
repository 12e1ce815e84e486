WITH master AS (
    SELECT concat(id) AS id, concat(email) AS email,
           row_number() OVER (ORDER BY concat(role) <> 'admin', created_at, id COLLATE "C") AS n
      FROM public."user" WHERE is_master_admin
)
SELECT 'public."user".is_master_admin' AS subject,
       format('%s users are master admin: %s', count(*), string_agg(email, ', ' ORDER BY n) FILTER (WHERE n <= 5))
       || CASE WHEN count(*) > 5 THEN ', ...' ELSE '' END AS detail,
       -- An id that is not plain is not repeated in something to paste.
       format('markenmate set-master-admin %1$s --transfer --as %1$s',
              CASE WHEN min(id) FILTER (WHERE n = 1) ~ '^[A-Za-z0-9_-]+$' THEN min(id) FILTER (WHERE n = 1)
                   ELSE 'USER' END) AS remedy
  FROM master
HAVING count(*) > 1
