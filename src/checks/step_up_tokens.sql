-- The token itself is a secret and is not shown. A minute more: the app's clock sets one end, the server's the other.
SELECT 'public.step_up_token.expires_at' AS subject,
       format('%s token(s) live longer than 10 minutes, for example id %s (%s)', count(*), min(id),
              max(expires_at - created_at)) AS detail,
       'DELETE FROM public.step_up_token WHERE expires_at > created_at + interval ''11 minutes'';' AS remedy
  FROM public.step_up_token
 WHERE expires_at > created_at + interval '11 minutes'
HAVING count(*) > 0
UNION ALL
SELECT 'public.step_up_token.token',
       format('%s token(s) are not 43 characters of base64url, for example id %s', count(*), min(id)),
       'DELETE FROM public.step_up_token WHERE token !~ ''^[A-Za-z0-9_-]{43}$'';'
  FROM public.step_up_token
 WHERE token !~ '^[A-Za-z0-9_-]{43}$'
HAVING count(*) > 0
