-- Whether anybody is, or was, of that name: in any window.
SELECT EXISTS (SELECT FROM public."user" u
                WHERE u.id = current_setting('markenmate.actor') OR lower(u.email) = lower(current_setting('markenmate.actor')))
       OR EXISTS (SELECT FROM every WHERE user_id = current_setting('markenmate.actor')) AS is_known
