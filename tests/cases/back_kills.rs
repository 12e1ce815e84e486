//! Ended at any moment on the way back, and on the way up again: a version is there or it is not, what
//! returns converges, nothing is lost or doubled, and nobody is kept out.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use crate::support::aside::{assert_nothing_kept, rows, same, together};
use crate::support::campaign::{figure, tell};
use crate::support::own_server::pg_ctl;
use crate::support::state::{assert_gone, assert_migrated, fingerprint, one, versions};
use crate::support::{Invocation, Run, Session, TestDb, database_on, markenmate, start};

/// A database somewhere.
struct Place {
    url: String,
    name: String,
}

impl Place {
    fn of(db: &TestDb) -> Self {
        Self { url: db.url.clone(), name: db.name.clone() }
    }

    fn session(&self) -> Session {
        Session::open(&self.url)
    }

    fn call(&self, verb: Verb) -> Invocation {
        let args = match verb {
            Verb::Rollback => vec!["rollback", "--confirm", &self.name, "--format", "json"],
            Verb::Migrate => vec!["migrate", "--yes", "--format", "json"],
        };
        markenmate(&args).url(&self.url)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Rollback,
    Migrate,
}

impl Verb {
    const BOTH: [Self; 2] = [Self::Rollback, Self::Migrate];

    /// The history before, and after.
    const fn sides(self) -> [&'static str; 2] {
        match self {
            Self::Rollback => ["1,2,3", "1"],
            Self::Migrate => ["1", "1,2,3"],
        }
    }
}

/// Rows for several batches of each kind.
fn fill(session: &Session) {
    session.sql(
        "UPDATE public.\"user\" SET is_master_admin = true WHERE id = (SELECT min(id) FROM public.\"user\" WHERE role = 'admin');
         INSERT INTO public.token_lending (user_id, lend_to_user_id, person_name, token_count, total_tokens_lent, version)
         SELECT (SELECT min(id) FROM public.\"user\"), (SELECT max(id) FROM public.\"user\"), 'P', n, n, 1 + n % 4 FROM generate_series(1, 2000) n;
         INSERT INTO public.app_log (message, correlation_id) SELECT 'm', 'c' || n FROM generate_series(1, 1500) n;
         INSERT INTO public.audit_log (user_id, action, target_user_id, metadata, correlation_id)
         SELECT u.id, 'CHANGE_ROLE', (SELECT max(id) FROM public.\"user\"), '{\"n\":' || n || '}', gen_random_uuid()
           FROM public.\"user\" u, generate_series(1, 100) n;
         INSERT INTO public.step_up_token (token, user_id, expires_at, used)
         SELECT md5(u.id || n), u.id, now() + interval '1 hour', n % 2 = 0 FROM public.\"user\" u, generate_series(1, 30) n;
         DELETE FROM public.audit_log WHERE id % 10 = 0",
    );
}

fn filled() -> (TestDb, Place) {
    let db = TestDb::migrated();
    fill(&db.session());
    let place = Place::of(&db);
    (db, place)
}

/// What there was, and must be there at every moment.
struct Truth {
    rows: BTreeMap<String, String>,
    together: BTreeMap<&'static str, String>,
}

impl Truth {
    fn of(session: &Session) -> Self {
        Self { rows: rows(session), together: together(session) }
    }

    /// The run has ended, however: exactly before or after. True: after.
    #[track_caller]
    fn holds(&self, session: &Session, verb: Verb, before: &str) -> bool {
        let [was, will] = verb.sides();
        let now = versions(session);
        if now == was {
            let now = fingerprint(session);
            let differs = now.lines().zip(before.lines()).find(|(a, b)| a != b);
            assert!(now == before, "{verb:?}: neither before nor after: {differs:?}");
        } else {
            assert_eq!(now, will);
        }
        same(&together(session), &self.together);
        let locks = "SELECT count(*) FROM pg_locks l WHERE l.pid <> pg_backend_pid() AND l.granted AND \
                     (l.locktype = 'advisory' OR l.relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)) \
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        assert_eq!(one(session, locks), "0");
        now == will
    }

    /// Everything is back where it was.
    #[track_caller]
    fn is_whole(&self, place: &Place) {
        let session = place.session();
        same(&rows(&session), &self.rows);
        assert_nothing_kept(&session);
        assert_migrated(&place.url);
    }
}

/// Moments that look chosen at random, and are the same ones every time.
struct Moments(u64);

impl Moments {
    fn within(&mut self, whole: Duration) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        whole.mul_f64((self.0 >> 40) as f64 / (1_u64 << 24) as f64)
    }
}

/// How long a run of each takes, undisturbed.
fn lengths(place: &Place) -> [Duration; 2] {
    Verb::BOTH.map(|verb| Duration::from_millis(place.call(verb).run().assert_code(0).millis))
}

/// What became of the runs that were disturbed.
#[derive(Debug, Default)]
struct Tally {
    ended: u32,
    before: u32,
    after: u32,
    returning: u32,
}

impl Tally {
    fn count(&mut self, session: &Session, verb: Verb, ended: bool, after: bool) {
        let left = "SELECT count(*) FROM markenmate.set_aside WHERE state = 'returning'";
        match (ended, after) {
            (true, _) => self.ended += 1,
            (false, false) => self.before += 1,
            (false, true) if verb == Verb::Migrate && one(session, left) != "0" => {
                self.returning += 1
            }
            (false, true) => self.after += 1,
        }
    }

    fn tell(&self, what: &str, lengths: [Duration; 2]) {
        tell(&format!(
            "{what} at moments of {lengths:?}: {} runs had ended, {} had done nothing, {} all of it, {} were bringing \
             rows back; 0 in between, 0 rows lost or doubled, 0 locks left",
            self.ended, self.before, self.after, self.returning
        ));
    }
}

/// The rest of the way, whatever was left of it.
#[track_caller]
fn complete(place: &Place, verb: Verb) -> Run {
    place.call(verb).run().assert_code(0)
}

#[test]
fn killed_at_any_moment_a_version_is_there_or_not_and_rows_converge() {
    let (_db, place) = filled();
    let truth = Truth::of(&place.session());
    let lengths = lengths(&place);
    truth.is_whole(&place);
    let mut moments = Moments(7);
    let mut tally = Tally::default();
    for round in 0..figure("BACK_KILLS", 6) {
        let verb = Verb::BOTH[(round % 2) as usize];
        let session = place.session();
        let before = fingerprint(&session);
        let running = place.call(verb).spawn();
        sleep(moments.within(lengths[(round % 2) as usize].mul_f64(1.05)));
        running.signal("KILL");
        let ended = running.wait().code != 128 + 9;
        assert_gone(&session);
        let after = truth.holds(&session, verb, &before);
        tally.count(&session, verb, ended, after);
        complete(&place, verb);
        same(&together(&session), &truth.together);
        if verb == Verb::Migrate {
            truth.is_whole(&place);
        }
    }
    if versions(&place.session()) == "1" {
        complete(&place, Verb::Migrate);
        truth.is_whole(&place);
    }
    tally.tell("SIGKILL", lengths);
}

/// Killed again and again while rows return, taken back in the middle of it, and up again.
#[test]
fn what_is_half_returned_goes_back_and_returns_after_all() {
    let (_db, place) = filled();
    let truth = Truth::of(&place.session());
    let [_, whole] = lengths(&place);
    let mut moments = Moments(11);
    let mut halves = 0;
    for _ in 0..figure("BACK_HALVES", 1) {
        for verb in [Verb::Rollback, Verb::Migrate, Verb::Rollback, Verb::Migrate, Verb::Migrate] {
            if verb == Verb::Rollback {
                complete(&place, verb);
                same(&together(&place.session()), &truth.together);
                continue;
            }
            let session = place.session();
            let running = place.call(verb).spawn();
            // Once there is something that returns.
            let returning = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = 'audit_log'";
            crate::support::wait_until(Duration::from_secs(20), || one(&session, returning) == "1");
            sleep(moments.within(whole / 3));
            running.signal("KILL");
            running.wait();
            assert_gone(&session);
            let left = "SELECT count(*) FROM markenmate.set_aside WHERE state = 'returning'";
            halves += u32::from(one(&session, left) != "0");
            same(&together(&session), &truth.together);
        }
        complete(&place, Verb::Migrate);
        truth.is_whole(&place);
    }
    tell(&format!(
        "{halves} runs killed while rows returned, some taken back half-way: all returned"
    ));
}

/// The same but for ids that were taken, and for whom a row was about.
fn whatever_the_id(session: &Session) -> BTreeMap<&'static str, String> {
    let mut all = together(session);
    for table in ["audit_log", "step_up_token"] {
        let strip = |line: &str| {
            let mut row: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(line).unwrap();
            row.remove("id");
            row.remove("target_user_id");
            serde_json::to_string(&row).unwrap()
        };
        let mut lines: Vec<String> = all[table].lines().map(strip).collect();
        lines.sort();
        all.insert(table, lines.join("\n"));
    }
    all
}

/// The new application's push comes first, with rows under ids that are kept already, and users go.
#[test]
fn killed_after_a_push_and_without_some_users_it_converges_as_well() {
    let (_db, place) = filled();
    let [_, whole] = lengths(&place);
    let mut moments = Moments(17);
    let (mut killed, mut renumbered) = (0, 0);
    for round in 0..figure("BACK_PUSHES", 1) {
        complete(&place, Verb::Rollback);
        let session = place.session();
        session.sql(&crate::support::schema_file("V2__security_hardening.sql"));
        session.sql(&format!(
            "INSERT INTO public.audit_log (user_id, action, metadata) SELECT min(id), 'login', n FROM public.\"user\", generate_series(1, 7) n GROUP BY n;
             INSERT INTO public.step_up_token (token, user_id, expires_at) SELECT 'new {round} ' || n, min(id), now() FROM public.\"user\", generate_series(1, 3) n GROUP BY n;
             UPDATE public.token_lending SET version = version + 1 WHERE id % 50 = 0;
             DELETE FROM public.\"user\" WHERE id = (SELECT max(id) FROM public.\"user\" WHERE role = 'user')"
        ));
        let truth = whatever_the_id(&session);
        for _ in 0..2 {
            let before = fingerprint(&session);
            let running = place.call(Verb::Migrate).spawn();
            sleep(moments.within(whole.mul_f64(0.8)));
            running.signal("KILL");
            killed += u32::from(running.wait().code == 128 + 9);
            assert_gone(&session);
            if versions(&session) == "1" {
                assert!(fingerprint(&session) == before);
            }
            same(&whatever_the_id(&session), &truth);
        }
        complete(&place, Verb::Migrate);
        same(&whatever_the_id(&session), &truth);
        assert_migrated(&place.url);
        let ids = "SELECT concat_ws(' ', bool_and(state IN ('returned', 'left')), sum(renumbered)) FROM markenmate.set_aside";
        let done = one(&session, ids);
        renumbered =
            done.strip_prefix("t ").unwrap_or_else(|| panic!("{done}")).parse::<u32>().unwrap();
        let next = "INSERT INTO public.audit_log (user_id, action) SELECT min(id), 'login' FROM public.\"user\" RETURNING id = (SELECT max(id) + 1 FROM public.audit_log)";
        assert_eq!(one(&session, next), "t");
    }
    assert!(renumbered > 0);
    tell(&format!(
        "{killed} runs killed after a push and with users gone: {renumbered} rows under other ids, 0 lost or doubled"
    ));
}

#[test]
fn a_server_that_crashes_leaves_a_version_there_or_not_and_rows_converge() {
    // What is committed is on disk, whatever the server's own setting.
    let server = start(&[("synchronous_commit", "off")]);
    let url = database_on(&server, "crashing", &["V1__baseline.sql"]);
    let place = Place { url, name: "crashing".into() };
    place.session().sql(&markenmate::sandbox::sample::sql(20));
    complete(&place, Verb::Migrate);
    fill(&place.session());
    let truth = Truth::of(&place.session());
    let lengths = lengths(&place);
    truth.is_whole(&place);
    let mut moments = Moments(13);
    let mut tally = Tally::default();
    for round in 0..figure("BACK_CRASHES", 2) {
        let verb = Verb::BOTH[(round % 2) as usize];
        place.session().sql("CHECKPOINT");
        let before = fingerprint(&place.session());
        let running = place.call(verb).spawn();
        sleep(moments.within(lengths[(round % 2) as usize].mul_f64(1.05)));
        pg_ctl(&server, "restart", "immediate");
        let run = running.wait();
        let session = place.session();
        assert_gone(&session);
        let after = truth.holds(&session, verb, &before);
        tally.count(&session, verb, run.code == 0, after);
        says_the_truth(&run, verb, after);
        complete(&place, verb);
        same(&together(&session), &truth.together);
        if verb == Verb::Migrate {
            truth.is_whole(&place);
        }
    }
    tally.tell("the server crashed", lengths);
}

/// What the run said is what is there.
#[track_caller]
fn says_the_truth(run: &Run, verb: Verb, after: bool) {
    let text = format!("{}\n{}", run.stdout, run.stderr);
    match run.code {
        0 => assert!(after, "{text}"),
        // Nothing is half-done.
        1 | 5 => assert!(!after, "{text}"),
        6 if run.json()["outcome"] == "partial" => {
            assert!(
                verb == Verb::Migrate
                    && after
                    && text.contains("the next markenmate migrate goes on"),
                "{text}"
            );
        }
        code => panic!("{code}: {text}"),
    }
}
