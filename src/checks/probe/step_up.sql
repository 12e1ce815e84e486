-- keep
INSERT INTO public.step_up_token (id, token, user_id, expires_at, used)
VALUES (%N%, %A% || '-good', %A%, now() + interval '10 minutes', false),
       (%N% + 1, %A% || '-foreign', %B%, now() + interval '10 minutes', false),
       (%N% + 2, %A% || '-expired', %A%, now() - interval '1 second', false),
       (%N% + 3, %A% || '-spent', %A%, now() + interval '10 minutes', true)
-- let | spending a good step-up token
UPDATE public.step_up_token SET used = true
 WHERE token = %A% || '-good' AND user_id = %A% AND NOT used AND expires_at >= now()
-- try 40001 | Step-up authentication required | spending a step-up token that does not exist
UPDATE public.step_up_token SET used = true
 WHERE token = %A% || '-none' AND user_id = %A% AND NOT used AND expires_at >= now()
-- try 40001 | Step-up authentication required | spending somebody else's step-up token
UPDATE public.step_up_token SET used = true
 WHERE token = %A% || '-foreign' AND user_id = %A% AND NOT used AND expires_at >= now()
-- try 40001 | Step-up authentication required | spending an expired step-up token
UPDATE public.step_up_token SET used = true
 WHERE token = %A% || '-expired' AND user_id = %A% AND NOT used AND expires_at >= now()
-- try 40001 | Step-up authentication required | spending a step-up token twice
UPDATE public.step_up_token SET used = true
 WHERE token = %A% || '-spent' AND user_id = %A% AND NOT used AND expires_at >= now()
-- try 40001 | Step-up authentication required | spending a step-up token twice without looking
UPDATE public.step_up_token SET used = true WHERE id = %N% + 3
