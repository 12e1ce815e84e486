-- Sample data in the shape of the app's own, the nasty kinds included. Runs inside a transaction that
-- has set markenmate.sample_users. Everything follows from row numbers and md5; times are told back
-- from now, so that some rows are always old and some always new.

CREATE TEMP TABLE sample_word ON COMMIT DROP AS
SELECT kind, word, row_number() OVER (PARTITION BY kind ORDER BY position)::int - 1 AS pos,
       count(*) OVER (PARTITION BY kind)::int AS total
FROM (VALUES
    ('given', ARRAY['Bärbel', 'Jörn', 'Käthe', 'Lütje', 'Mürsel', 'Nöel', 'Rüdiger', 'Sönke', 'Wübbe',
                    'Fritz', 'Grażyna', 'İbrahim', 'Thérèse', 'Hans-Jürgen', 'Øyvind', 'Sabine', 'Uğur']),
    ('family', ARRAY['Ahlström', 'Bößenroth', 'Dörfler', 'Füßl', 'Gänßler', 'Höß', 'Kübler', 'Lüüß',
                     'Möllers', 'D''Orville', 'Pfäffle', 'Rößler', 'von Tümpling', 'Wörz', 'Yıldız',
                     'Zäh', 'Schmidt', 'Żurek', 'Thüringer']),
    ('dish', ARRAY['Maultaschen geschmälzt', 'Königinpastete', 'Spätzle mit Soß', 'Grünkohl & Pinkel',
                   'Apfelküchle', 'Birne Helene', 'Süßmost 0,3 l', 'Weißbier „alkoholfrei“', 'Käßbrot']),
    ('place', ARRAY['Zur Mühle', 'Gänsbauer', 'Bistro „Là-bas“', 'Schänke am Wörthsee', 'Çınaraltı',
                    'O''Leary''s Küche', 'Löwenbräu-Stüberl']),
    ('hostile', ARRAY[
        'Robert''; DROP TABLE public."user"; --',
        '"double" ''single'' `back` $(id) ${HOME} \ %s %n {0}',
        E'\x1b[2J\x1b[31mrot\x1b[0m\x1b]0;Titel\x07',
        U&'\202Eegieb\202C \2066Umkehrung\2069 \200F',
        E'erste Zeile\nzweite Zeile\r\nTab\tEnde',
        U&'A\0308nne Z\0335\0321al\0337go \200Bunsichtbar\FEFF\00A0\2028',
        U&'\+01F469\200D\+01F469\200D\+01F467 \+01F1E9\+01F1EA 中文 עברית',
        '\N', '\.', '', '   ', 'NULL', '$$; COPY x FROM stdin; $tag$', '<script>alert(1)</script>',
        '=HYPERLINK("http://example.invalid")', E'\x01\x02\x7f\u0085\u009b31m',
        repeat('Rindfleischetikettierungsüberwachungsaufgabe', 200), 'postgresql://u:p@h/d?x=1']),
    ('audit', ARRAY['AUDIT: ACCEPT_LENDING', 'AUDIT: DECLINE_LENDING', 'AUDIT: UPDATE_LENDING',
                    'AUDIT: DELETE_LENDING'])
) AS words(kind, list), unnest(list) WITH ORDINALITY AS each(word, position);

-- Three admins (1 to 3), the hostile ones, and as many ordinary users as were asked for. The oldest
-- account belongs to an ordinary user: an age alone makes no admin.
CREATE TEMP TABLE sample_user ON COMMIT DROP AS
SELECT n, md5('markenmate user ' || n) AS id,
       CASE WHEN n = 1 THEN 'Administrator' WHEN n = 2 THEN 'Zweite Größe' WHEN n = 3 THEN 'Dritter O''Admin'
            WHEN n - 3 <= hostile.total THEN hostile.word ELSE given.word || ' ' || family.word END AS name,
       CASE WHEN n = 1 THEN 'admin@markenmate.app' WHEN n = 2 THEN 'Zweite.Admin@Example.de'
            WHEN n = 3 THEN 'dritter@example.de' WHEN n % 19 = 0 THEN 'Gemischt.Nr' || n || '@EXAMPLE.de'
            WHEN n % 23 = 0 THEN 'jörn' || n || '@bücher-müller.de' ELSE 'person' || n || '@example.de' END AS email,
       CASE n WHEN 1 THEN interval '400 days' WHEN 2 THEN interval '210 days' WHEN 3 THEN interval '9 days'
              WHEN 4 THEN interval '500 days' ELSE make_interval(days => n % 450, hours => 7) END AS age,
       count(*) OVER ()::int AS total
FROM (SELECT max(total) + 3 AS others FROM sample_word WHERE kind = 'hostile') AS fixed,
     generate_series(1, fixed.others + current_setting('markenmate.sample_users')::int) AS n
JOIN sample_word AS given ON given.kind = 'given' AND given.pos = n % given.total
JOIN sample_word AS family ON family.kind = 'family' AND family.pos = (n / 3) % family.total
JOIN sample_word AS hostile ON hostile.kind = 'hostile' AND hostile.pos = (n + hostile.total - 4) % hostile.total;

INSERT INTO public."user" (id, name, email, email_verified, image, role, must_change_password, created_at, updated_at)
SELECT id, name, email, n % 3 <> 0, CASE WHEN n % 40 = 3 THEN 'https://example.de/bild/' || n || '.png' END,
       CASE WHEN n <= 3 THEN 'admin' ELSE 'user' END::public.user_role, n % 13 = 0, now() - age, now() - age / 2
FROM sample_user;

-- The first two have real passwords: the one that stands in the app's source, and Größe-Übung-7.
-- The third admin signs in elsewhere.
INSERT INTO public.account (id, account_id, provider_id, user_id, scope, password, created_at, updated_at)
SELECT md5('account' || id), id, CASE n WHEN 3 THEN 'github' ELSE 'credential' END, id,
       CASE n WHEN 3 THEN 'read:user' END,
       CASE n WHEN 1 THEN '6d61726b656e6d6174652d73616d706c:534b89d0c88447efaf770e2387e22214a60a3fbea09ded39df8e894c83270fd78badb538a8ca84ff21808572d967aed5857ec40209262dae9380edf0408048f8'
              WHEN 2 THEN '7a77656974652d61646d696e2d313233:c3287a9893fad41bfa87bff016934b8aa4676a7973387450df533653b7e9b5f1880c23107cfbe9e671b9ccc59af5fcf33a54d67f1d50d6821bd409b2bd329ec8'
              WHEN 3 THEN NULL
              ELSE md5('salt' || id) || ':' || md5('a' || id) || md5('b' || id) || md5('c' || id) || md5('d' || id) END,
       now() - age, now() - age
FROM sample_user;

INSERT INTO public.session (id, expires_at, token, created_at, updated_at, ip_address, user_agent, user_id)
SELECT md5('session' || id), now() + make_interval(days => n % 14 - 6, hours => 1), md5('token' || id),
       now() - interval '1 day', now() - interval '1 day',
       CASE n % 3 WHEN 0 THEN '198.51.100.' || n % 250 WHEN 1 THEN '2001:db8::' || to_hex(n) ELSE '' END,
       CASE WHEN n % 5 = 0 THEN E'curl\x1b[1m/8.0' ELSE 'Mozilla/5.0 (X11; Linux x86_64)' END, id
FROM sample_user WHERE n <= 3 OR n % 2 = 0;

INSERT INTO public.verification (id, identifier, value, expires_at)
SELECT md5('verification' || n), email, md5('value' || n), now() + interval '1 hour' FROM sample_user WHERE n <= 2;

INSERT INTO public.demo_data (header, type, status, target, "limit", reviewer)
SELECT 'Prüfpunkt ' || n, 'Übersicht', 'offen', n, n * 2, 'Gänßler' FROM generate_series(1, 4) AS n
ORDER BY n;

INSERT INTO public.restaurant (name, location, tag, phone_number, opening_hours, rating, created_at, updated_at)
SELECT place.word, 'Hauptstraße ' || place.pos + 1 || ', Tübingen', 'Küche',
       CASE WHEN place.pos % 3 > 0 THEN '+49 7071 ' || 1000 + place.pos END, '{"monday":"11:30-22:00"}',
       CASE WHEN place.pos % 4 > 0 THEN (place.pos % 5) + 0.5 END, now() - interval '390 days', now() - interval '30 days'
FROM sample_word AS place WHERE kind = 'place'
ORDER BY place.pos;

INSERT INTO public.menu_item (restaurant_id, dish_name, type, category, price, gives_refund, created_at, updated_at)
SELECT restaurant.id, dish.word,
       CASE WHEN dish.pos < 4 THEN 'main_course' WHEN dish.pos IN (6, 7) THEN 'drink' ELSE 'dessert' END::public.menu_item_type,
       CASE WHEN dish.pos < 4 THEN 'main' WHEN dish.pos IN (6, 7) THEN 'softdrink' ELSE 'dessert' END,
       3.20 + dish.pos * 1.15, dish.pos % 2 = 0, now() - interval '380 days', now() - interval '30 days'
FROM public.restaurant, sample_word AS dish WHERE dish.kind = 'dish'
ORDER BY restaurant.id, dish.pos;

-- Three lendings a user in every state: to a user or to a mere name, debts, zero, the limits of the
-- type, to oneself, and several of the same pair.
INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, last_lending_date,
                                  total_tokens_lent, acceptance_status, created_at, updated_at)
SELECT lender.id, CASE WHEN k % 8 > 0 THEN borrower.id END, borrower.name,
       CASE WHEN k = 1 THEN 2147483647 WHEN k = 2 THEN -2147483648 WHEN k % 17 = 0 THEN 0
            WHEN k % 11 = 0 THEN -(k % 30) ELSE 1 + k % 20 END,
       now() - make_interval(days => k % 190, hours => 5), CASE WHEN k = 1 THEN 2147483647 ELSE 1 + k % 31 END,
       (ARRAY['pending', 'accepted', 'declined', 'accepted', 'accepted'])[1 + k % 5]::public.acceptance_status,
       now() - make_interval(days => k % 190 + 2), now() - make_interval(days => k % 190, hours => 5)
FROM (SELECT max(total) AS users FROM sample_user) AS all_users, generate_series(1, all_users.users * 3) AS k
JOIN sample_user AS lender ON lender.n = 1 + k % lender.total
JOIN sample_user AS borrower ON borrower.n = 1 + (k * CASE WHEN k % 50 = 0 THEN 1 ELSE 7 END) % borrower.total
ORDER BY k;

INSERT INTO public.order_history (user_id, restaurant_id, visit_date, total_price, created_at)
SELECT id, (SELECT min(id) FROM public.restaurant) + (n * k) % 7, now() - make_interval(days => (n + 37 * k) % 360, hours => 3),
       6.40 + (n * k) % 30, now() - make_interval(days => (n + 37 * k) % 360, hours => 3)
FROM sample_user, generate_series(1, 4) AS k
ORDER BY n, k;

INSERT INTO public.order_history_item (order_history_id, dish_name, type, category, price, created_at)
SELECT visit.id, dish.word, CASE WHEN dish.pos < 6 THEN 'main_course' ELSE 'drink' END, 'main', 3.20 + dish.pos, visit.created_at
FROM public.order_history AS visit JOIN sample_word AS dish ON dish.kind = 'dish' AND dish.pos IN (visit.id % 6, 6 + visit.id % 3)
ORDER BY visit.id, dish.pos;

INSERT INTO public.favorite (user_id, restaurant_id, menu_item_id)
SELECT id, CASE WHEN n % 2 = 0 THEN (SELECT min(id) FROM public.restaurant) END,
       CASE WHEN n % 2 = 1 THEN (SELECT min(id) FROM public.menu_item) + n % 20 END
FROM sample_user
ORDER BY n;

INSERT INTO public.ticket (user_id, title, description, status, priority, assigned_to_admin_id, closed_by_admin_id,
                           closed_at, created_at, updated_at)
SELECT writer.id, CASE WHEN writer.n <= 21 THEN 'Betrifft: ' || left(writer.name, 200) ELSE 'Marke ungültig (' || writer.n || ')' END,
       E'Bitte prüfen: „süß“ & "groß"\n' || writer.n,
       (ARRAY['open', 'in_progress', 'closed'])[1 + writer.n % 3]::public.ticket_status,
       (ARRAY['low', 'medium', 'high', 'urgent'])[1 + writer.n % 4]::public.ticket_priority,
       CASE WHEN writer.n % 3 > 0 THEN second.id END, CASE WHEN writer.n % 3 = 2 THEN third.id END,
       CASE WHEN writer.n % 3 = 2 THEN now() - interval '2 days' END,
       now() - make_interval(days => 3 + writer.n % 70), now() - interval '2 days'
FROM sample_user AS writer, sample_user AS second, sample_user AS third
WHERE second.n = 2 AND third.n = 3 AND (writer.n <= 21 OR writer.n % 5 = 0)
ORDER BY writer.n;

INSERT INTO public.ticket_comment (ticket_id, user_id, message, is_internal, created_at)
SELECT ticket.id, admin.id, 'Wird geprüft ✓', ticket.id % 2 = 0, ticket.created_at + interval '1 hour'
FROM public.ticket, sample_user AS admin WHERE admin.n = 1
ORDER BY ticket.id;

-- Ten lines a user over 150 days; every fifth is one of the app's own audit lines.
INSERT INTO public.app_log (level, message, context, user_id, created_at)
SELECT (ARRAY['info', 'info', 'warn', 'error', 'debug'])[1 + k % 5]::public.log_level,
       CASE WHEN k % 5 = 0 THEN audit.word WHEN k % 37 = 0 THEN hostile.word ELSE 'Lending list loaded' END,
       CASE WHEN k % 7 = 0 THEN NULL WHEN k % 43 = 0 THEN 'kein JSON {'
            ELSE '{"lendingId":' || k || ',"personName":"Bößenroth \u001b[31m","tokenCount":' || k % 20 || '}' END,
       CASE WHEN k % 4 > 0 THEN writer.id END, now() - make_interval(days => k % 150, hours => 6)
FROM (SELECT max(total) AS users FROM sample_user) AS all_users, generate_series(1, all_users.users * 10) AS k
JOIN sample_user AS writer ON writer.n = 1 + k % writer.total
JOIN sample_word AS audit ON audit.kind = 'audit' AND audit.pos = (k / 5) % audit.total
JOIN sample_word AS hostile ON hostile.kind = 'hostile' AND hostile.pos = (k / 37) % hostile.total
ORDER BY k;

INSERT INTO public.db_backup (filename, file_size, created_by_admin_id, description, created_at)
SELECT 'markenmate-backup-' || to_char(made AT TIME ZONE 'UTC', 'YYYY-MM-DD') || 'T03-00-00-000Z.sql', 750000 * k,
       admin.id, CASE WHEN k = 2 THEN 'vor der Umstellung, größer' END, made
FROM generate_series(1, 5) AS k, LATERAL (SELECT now() - make_interval(days => 30 * k) AS made) AS at, sample_user AS admin
WHERE admin.n = 1
ORDER BY k;
