SELECT 'public."user".role' AS subject,
       CASE WHEN EXISTS (SELECT FROM public."user") THEN 'no user has role admin: nobody can administer the application'
            ELSE 'there is no user at all: the application makes its first admin when it starts' END AS detail
 WHERE NOT EXISTS (SELECT FROM public."user" WHERE concat(role) = 'admin')
