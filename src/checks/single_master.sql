WITH master AS (
    SELECT concat(id) AS id, concat(email) AS email,
           row_number() OVER (ORDER BY concat(role) <> 'admin', created_at, id COLLATE "C") AS n
      FROM public."user" WHERE is_master_admin
)
SELECT 'public."user".is_master_admin' AS subject,
       format('%s users are master admin: %s', count(*), string_agg(email, ', ' ORDER BY n) FILTER (WHERE n <= 5))
       || CASE WHEN count(*) > 5 THEN ', ...' ELSE '' END AS detail,
       'UPDATE public."user" SET is_master_admin = false WHERE is_master_admin AND id <> '
       || CASE WHEN min(id) FILTER (WHERE n = 1) ~ '^[A-Za-z0-9_-]+$'
               THEN quote_literal(min(id) FILTER (WHERE n = 1)) ELSE '''id of the one who stays''' END || ';' AS remedy
  FROM master
HAVING count(*) > 1
