//! `verify --probe`: the guards are tried, with them and without, and nothing is left of it.

use serde_json::Value;

use crate::support::pty::on_a_terminal;
use crate::support::state::{one, owned_by};
use crate::support::tls_server::TlsServer;
use crate::support::{Session, TestDb, markenmate, sql};

const PROBES: &str = "probe-step-up,probe-master-admin,probe-last-admin,probe-lost-update";

const SET_MASTER: &str = "UPDATE public.\"user\" SET is_master_admin = true \
    WHERE id = (SELECT id FROM public.\"user\" WHERE role = 'admin' ORDER BY created_at, id LIMIT 1);";

/// A migrated database with a master admin.
fn guarded() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(&db, SET_MASTER);
    db
}

#[track_caller]
fn probe(db: &TestDb, args: &[&str], code: i32) -> Value {
    let all =
        [&["verify", "--format", "json", "--probe", "--yes", "--only", PROBES], args].concat();
    markenmate(&all).db(db).run().assert_code(code).json()
}

/// Id and status of each check.
fn verdicts(document: &Value) -> Vec<[&str; 2]> {
    let all = document["data"]["checks"].as_array().unwrap().iter();
    all.map(|c| ["id", "status"].map(|key| c[key].as_str().unwrap())).collect()
}

fn all(status: &str) -> Vec<[&str; 2]> {
    PROBES.split(',').map(|id| [id, status]).collect()
}

/// Id, subject and detail of each finding.
fn found(document: &Value) -> Vec<[&str; 3]> {
    let all = document["findings"].as_array().unwrap().iter();
    all.map(|f| ["id", "subject", "detail"].map(|key| f[key].as_str().unwrap())).collect()
}

/// Every row that a probe may touch, and every sequence.
fn everything(session: &Session) -> String {
    let tables = one(
        session,
        "SELECT string_agg(format(CASE c.relkind
                    WHEN 'S' THEN 'SELECT %L || last_value || is_called FROM %s'
                    ELSE 'SELECT %L || coalesce(md5(string_agg(t::text, '','' ORDER BY t::text)), '''') FROM %s t' END,
                                  c.oid::regclass, c.oid::regclass), ' UNION ALL ' ORDER BY c.oid::regclass::text)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'markenmate')
          WHERE c.relkind IN ('r', 'S')",
    );
    let rows = session.sql(&tables);
    assert!(rows.len() > 20);
    rows.into_iter().flatten().flatten().collect::<Vec<_>>().join("\n")
}

#[test]
fn with_the_guards_all_of_it_is_refused_and_nothing_is_left() {
    let db = guarded();
    let session = db.session();
    let before = everything(&session);
    let document = probe(&db, &["--fail-on", "warning"], 0);
    assert_eq!(verdicts(&document), all("pass"));
    assert_eq!(everything(&session), before);
    // Several at a time do not stand in each other's way.
    let runs: Vec<_> = (0..4)
        .map(|_| markenmate(&["verify", "--probe", "--yes", "--only", PROBES]).db(&db).spawn())
        .collect();
    runs.into_iter().for_each(|run| drop(run.wait().assert_code(0)));
    assert_eq!(everything(&session), before);
    // The guards hold for the next transaction of the same session.
    let demotion =
        session.try_sql("UPDATE public.\"user\" SET role = 'user' WHERE is_master_admin");
    assert_eq!(demotion.unwrap_err().code().unwrap().code(), "MM101");
}

#[test]
fn without_the_guards_nobody_keeps_it_and_nothing_is_left() {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes", "--to", "2"]).db(&db).run().assert_code(0);
    for master in ["", SET_MASTER] {
        sql(&db, master);
        let session = db.session();
        let before = everything(&session);
        let document = probe(&db, &[], 3);
        assert_eq!(everything(&session), before);
        assert_eq!(verdicts(&document), all("fail"));
        let found = found(&document);
        assert_eq!(found.len(), 5 + 4 + 2 + 3, "{found:#?}");
        assert!(
            found
                .iter()
                .all(|[.., detail]| detail.ends_with("nobody but the application keeps this"))
        );
        for [subject, says] in [
            [
                "spending a step-up token that does not exist",
                "finds no row, and no error is raised",
            ],
            ["demoting the master admin", "is let through"],
            ["deleting the last admin", "is let through"],
            [
                "the second of two updates of one version of a lending",
                "finds no row, and no error is raised",
            ],
        ] {
            assert!(
                found.iter().any(|f| f[1] == subject && f[2].starts_with(says)),
                "{subject}: {found:#?}"
            );
        }
        for finding in document["findings"].as_array().unwrap() {
            assert_eq!(finding["remedy"], "markenmate migrate");
            assert_eq!(finding["severity"], "error");
        }
    }
}

#[test]
fn a_disabled_trigger_is_seen_by_what_it_lets_through() {
    let db = guarded();
    let twice = "spending a step-up token twice without looking";
    for (table, trigger, id, subjects) in [
        (
            "user",
            "markenmate_admins",
            "probe-master-admin",
            &[
                "demoting the master admin",
                "deleting the master admin",
                "taking the master admin's flag away",
                "a second master admin",
            ][..],
        ),
        ("user", "markenmate_last_admin_updated", "probe-last-admin", &["demoting the last admin"]),
        ("user", "markenmate_last_admin_deleted", "probe-last-admin", &["deleting the last admin"]),
        (
            "token_lending",
            "markenmate_conflict",
            "probe-lost-update",
            &["the second of two updates of one version of a lending"],
        ),
        (
            "token_lending",
            "markenmate_version",
            "probe-lost-update",
            &[
                "a lending's version that decreases",
                "a lending's token_count that changes without its version",
            ],
        ),
        ("step_up_token", "markenmate_spent", "probe-step-up", &[twice]),
        (
            "step_up_token",
            "markenmate_conflict",
            "probe-step-up",
            &[
                "spending a step-up token that does not exist",
                "spending somebody else's step-up token",
                "spending an expired step-up token",
                "spending a step-up token twice",
            ],
        ),
    ] {
        sql(&db, &format!("ALTER TABLE public.\"{table}\" DISABLE TRIGGER {trigger}"));
        let session = db.session();
        let before = everything(&session);
        let document = probe(&db, &[], 3);
        let seen: Vec<_> = found(&document).iter().map(|f| [f[0], f[1]]).collect();
        let expected: Vec<_> = subjects.iter().map(|subject| [id, *subject]).collect();
        assert_eq!(seen, expected, "{trigger}");
        let remedy = format!("markenmate verify --only {}-guard", &id["probe-".len()..]);
        assert_eq!(document["findings"][0]["remedy"], remedy.as_str());
        assert_eq!(everything(&session), before);
        sql(&db, &format!("ALTER TABLE public.\"{table}\" ENABLE TRIGGER {trigger}"));
    }
    assert_eq!(verdicts(&probe(&db, &[], 0)), all("pass"));
}

/// What the probes call would run as whoever runs them, or, SECURITY DEFINER, as whoever owns it.
#[test]
fn a_function_that_is_not_ours_is_not_called() {
    let db = guarded();
    let role = format!("planter_{}", db.name);
    sql(&db, &format!("CREATE SEQUENCE public.run; CREATE ROLE {role}"));
    let _roles = Roles(&db, vec![role.clone()]);
    for (change, name, says) in [
        (
            "CREATE OR REPLACE FUNCTION markenmate.open_gate(reason text) RETURNS void LANGUAGE sql
             AS $$ SELECT nextval('public.run') $$"
                .to_owned(),
            "open_gate(text)",
            "was changed",
        ),
        (
            format!("ALTER FUNCTION markenmate.close_gate() OWNER TO {role}"),
            "close_gate()",
            "belongs to role",
        ),
    ] {
        sql(&db, &change);
        let document = probe(&db, &[], 3);
        assert_eq!(verdicts(&document), all("fail"));
        for [_, subject, detail] in found(&document) {
            assert_eq!(subject, format!("function markenmate.{name}"));
            assert!(detail.starts_with(says) && detail.contains("nothing was tried"), "{detail}");
        }
        assert_eq!(one(&db.session(), "SELECT is_called FROM public.run"), "f");
        let args = ["verify", "--only", "contract", "--format", "json"];
        let document = markenmate(&args).db(&db).run().assert_code(3).json();
        assert!(found(&document).iter().any(|f| f[1].ends_with(name)), "{document:#}");
        sql(&db, "DROP FUNCTION IF EXISTS markenmate.open_gate(text)");
    }
}

/// Whoever is deleted, their lendings are searched for without an index: too long with admins locked.
#[test]
fn among_very_many_lendings_the_last_admin_is_not_deleted() {
    let db = guarded();
    let many = "INSERT INTO public.token_lending (user_id, person_name, token_count) \
        SELECT (SELECT id FROM public.\"user\" LIMIT 1), repeat('x', 1500), 1 FROM generate_series(1, 24000)";
    sql(&db, many);
    let document = probe(&db, &["--fail-on", "warning"], 0);
    assert_eq!(verdicts(&document), all("pass"));
    let found = found(&document);
    assert_eq!((found[0][1], found.len()), ("deleting the last admin", 1));
    assert!(found[0][2].contains("was not tried"), "{found:#?}");
    assert_eq!(document["findings"][0]["severity"], "info");
    for change in [
        "ALTER TABLE public.\"user\" DISABLE TRIGGER markenmate_last_admin_deleted",
        "ALTER TABLE public.\"user\" ENABLE REPLICA TRIGGER markenmate_last_admin_deleted",
        "DROP TRIGGER markenmate_last_admin_deleted ON public.\"user\"",
    ] {
        sql(&db, change);
        let document = probe(&db, &[], 3);
        let found = self::found(&document);
        assert_eq!((found[0][1], found.len()), ("deleting the last admin", 1));
        assert!(found[0][2].contains("is refused by no trigger"), "{found:#?}");
    }
    // With an index it is not long.
    sql(
        &db,
        "CREATE INDEX a ON public.token_lending (user_id); CREATE INDEX b ON public.token_lending (lend_to_user_id)",
    );
    assert_eq!(
        self::found(&probe(&db, &[], 3))[0][2],
        "is let through: nobody but the application keeps this"
    );
}

#[test]
fn before_the_hardening_there_is_one_thing_to_try() {
    let db = TestDb::baseline();
    let document = probe(&db, &[], 3);
    let expected = [
        ["probe-step-up", "skipped"],
        ["probe-master-admin", "skipped"],
        ["probe-last-admin", "fail"],
        ["probe-lost-update", "skipped"],
    ];
    assert_eq!(verdicts(&document), expected);
    let checks = document["data"]["checks"].as_array().unwrap();
    assert_eq!(checks[0]["detail"], "table public.step_up_token is missing");
    assert_eq!(checks[3]["detail"], "column public.token_lending.version is missing");
}

#[test]
fn what_an_older_application_dropped_is_not_tried() {
    let db = guarded();
    sql(
        &db,
        "ALTER TABLE public.\"user\" DROP COLUMN is_master_admin; ALTER TABLE public.token_lending DROP COLUMN version",
    );
    let document = probe(&db, &[], 0);
    let expected = [
        ["probe-step-up", "pass"],
        ["probe-master-admin", "skipped"],
        ["probe-last-admin", "pass"],
        ["probe-lost-update", "skipped"],
    ];
    assert_eq!(verdicts(&document), expected);
}

#[test]
fn it_is_asked_for_and_consented_to() {
    let db = guarded();
    let bare = ["verify", "--format", "json", "--only", PROBES];
    let document = markenmate(&bare).db(&db).run().assert_code(0).json();
    assert_eq!(verdicts(&document), all("skipped"));
    let said = document["data"]["checks"][0]["detail"].as_str().unwrap();
    assert!(said.contains("--probe"), "{said}");

    let unasked = markenmate(&["verify", "--probe"]).db(&db).run().assert_code(4);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    // Nothing that is tried: nothing to ask.
    markenmate(&["verify", "--probe", "--only", "admin-exists"]).db(&db).run().assert_code(0);
    let planned =
        markenmate(&["verify", "--probe", "--dry-run", "-v", "--only", PROBES]).db(&db).run();
    assert!(planned.assert_code(0).stdout.contains("UPDATE public.step_up_token SET used = true"));

    for (answer, code) in [("n", 4), ("y", 0)] {
        let mut terminal =
            on_a_terminal(markenmate(&["verify", "--probe", "--only", PROBES]).db(&db));
        terminal.expect("takes everything back").expect("Try the guards? [y/N]").send_line(answer);
        assert_eq!(terminal.finish().1, code);
    }
}

#[test]
fn where_nothing_can_be_written_it_is_skipped_without_a_question() {
    let server = TlsServer::start_standby();
    let url = format!(
        "host={} port={} user=markenmate password=pw dbname=postgres",
        server.socket(),
        server.port
    );
    let args = ["verify", "--probe", "--format", "json", "--only", PROBES];
    let document = markenmate(&args).url(&url).run().assert_code(0).json();
    assert_eq!(verdicts(&document), all("skipped"));
    let said = document["data"]["checks"][2]["detail"].as_str().unwrap();
    assert!(said.contains("this server is a standby"), "{said}");

    let db = guarded();
    sql(&db, &format!("ALTER DATABASE {} SET default_transaction_read_only = on", db.name));
    let document = markenmate(&args).db(&db).run().assert_code(0).json();
    assert_eq!(verdicts(&document), all("skipped"));
    let said = document["data"]["checks"][0]["detail"].as_str().unwrap();
    assert!(said.contains("default_transaction_read_only"), "{said}");
}

/// Roles of this database's own; they go with the returned value.
struct Roles<'a>(&'a TestDb, Vec<String>);

impl Drop for Roles<'_> {
    fn drop(&mut self) {
        for name in &self.1 {
            let _ = self.0.session().try_sql(&format!(
                "REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}"
            ));
        }
    }
}

#[test]
fn a_member_of_the_owner_becomes_it_and_a_reader_is_told() {
    let db = TestDb::baseline();
    let [owner, member, reader] =
        ["owner", "member", "reader"].map(|role| format!("{role}_{}", db.name));
    sql(
        &db,
        &format!(
            "CREATE ROLE {owner}; CREATE ROLE {member} LOGIN NOINHERIT; CREATE ROLE {reader} LOGIN; GRANT {owner} TO {member}"
        ),
    );
    let _roles = Roles(&db, vec![member.clone(), reader.clone(), owner.clone()]);
    sql(&db, &format!("GRANT CREATE ON DATABASE {} TO {owner}; {}", db.name, owned_by(&owner)));
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(&db, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"));
    let run = |role: &str, code| {
        let args = ["verify", "--format", "json", "--probe", "--yes", "--only", PROBES];
        markenmate(&args).url(&db.url_as(role)).run().assert_code(code).json()
    };
    assert_eq!(verdicts(&run(&member, 0)), all("pass"));
    let document = run(&reader, 0);
    assert_eq!(verdicts(&document), all("skipped"));
    assert!(found(&document).iter().all(|f| f[2].contains("permission denied")), "{document:#}");
}

#[test]
fn whoever_holds_an_admins_row_is_waited_for_and_named() {
    let db = guarded();
    let holder = db.session();
    holder.sql("BEGIN; UPDATE public.\"user\" SET name = name WHERE role = 'admin'");
    let args = ["verify", "--probe", "--yes", "--only", PROBES, "--max-wait", "1s"];
    let run = markenmate(&args).db(&db).run().assert_code(7);
    assert!(run.stderr.contains("pg_terminate_backend"), "{}", run.stderr);
    let running = markenmate(&["verify", "--probe", "--yes", "--only", PROBES]).db(&db).spawn();
    running.wait_for_stderr("waiting");
    holder.sql("ROLLBACK");
    running.wait().assert_code(0);
}

#[test]
fn a_database_that_refuses_the_probes_own_rows_is_not_judged() {
    let db = guarded();
    sql(
        &db,
        "CREATE FUNCTION public.strict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.email LIKE '%.invalid' THEN RAISE 'no such domain'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER strict BEFORE INSERT ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION public.strict()",
    );
    let document = probe(&db, &[], 0);
    assert_eq!(verdicts(&document), all("warn"));
    assert!(found(&document)[0][2].contains("no such domain"), "{document:#}");
}

/// The app's role changes and the probes meet at the admins' rows, in one order: nobody is sent away.
#[test]
fn probes_and_role_changes_do_not_deadlock() {
    let db = guarded();
    let second = "(SELECT id FROM public.\"user\" WHERE email = 'dritter@example.de')";
    let url = db.url.clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let app = {
        let stop = std::sync::Arc::clone(&stop);
        std::thread::spawn(move || {
            let session = Session::open(&url);
            let mut rounds = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for role in ["user", "admin"] {
                    session.sql(&format!(
                        "UPDATE public.\"user\" SET role = '{role}' WHERE id = {second}"
                    ));
                }
                rounds += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            rounds
        })
    };
    for _ in 0..8 {
        probe(&db, &[], 0);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(app.join().unwrap() > 8);
}
