-- Rows whose owner is gone: the app cannot make them, a restore that lost a foreign key can.
-- Needs a superuser.

SET LOCAL session_replication_role = replica;

INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, acceptance_status)
SELECT 'gone-lender-' || k, sample_user.id, 'Verwaist ' || k, k, 'accepted' FROM generate_series(1, 3) AS k, sample_user WHERE n = 4;

INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, acceptance_status)
SELECT sample_user.id, 'gone-borrower-' || k, 'Verwaist ' || k, k, 'pending' FROM generate_series(1, 2) AS k, sample_user WHERE n = 4;

INSERT INTO public.session (id, expires_at, token, user_id)
SELECT 'gone-session-' || k, now(), 'gone-token-' || k, 'gone-user-' || k FROM generate_series(1, 2) AS k;

INSERT INTO public.app_log (level, message, user_id)
SELECT 'error', 'written by nobody', 'gone-user-' || k FROM generate_series(1, 4) AS k;

INSERT INTO public.order_history_item (order_history_id, dish_name, type, category, price)
SELECT -k, 'Geisterspätzle', 'main_course', 'main', 1 FROM generate_series(1, 1) AS k;

SET LOCAL session_replication_role = origin;
