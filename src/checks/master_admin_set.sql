-- The oldest admin by the app's own clock; ties by id in byte order, so that every run names the same.
WITH oldest AS (
    SELECT concat(id) AS id, concat(email) AS email FROM public."user"
     WHERE concat(role) = 'admin'
     ORDER BY created_at, id COLLATE "C" LIMIT 1
)
SELECT 'public."user".is_master_admin' AS subject,
       CASE WHEN oldest.id IS NULL THEN 'there is no admin who could be master admin'
            ELSE format('no admin has it; the oldest admin is %s (id %s)', oldest.email, oldest.id) END AS detail,
       CASE WHEN oldest.id IS NULL THEN 'No admin found. Create an admin first.' ELSE 'markenmate set-master-admin' END AS remedy
  FROM (VALUES (1)) one(row) LEFT JOIN oldest ON true
 WHERE NOT EXISTS (SELECT FROM public."user" WHERE concat(role) = 'admin' AND is_master_admin)
