//! `verify --app-url`: an application that answers rightly, wrongly, elsewhere or not at all, and in no
//! case one whom a broken guard could harm.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::support::pty::on_a_terminal;
use crate::support::state::one;
use crate::support::stub_app::{StubApp, healthy, http, self_signed};
use crate::support::tls_server::Folder;
use crate::support::{Run, Session, TestDb, markenmate, sql};

const ASKED: &str = "app-health,app-step-up,app-master-admin,app-last-admin";

const STEP_UP: &str = "{\"error\":\"Step-up authentication required\"}";

/// A migrated database with a master admin.
fn guarded() -> TestDb {
    let db = TestDb::baseline();
    markenmate(&["migrate", "--yes"]).db(&db).run().assert_code(0);
    sql(
        &db,
        "UPDATE public.\"user\" SET is_master_admin = true WHERE email = 'admin@markenmate.app'",
    );
    db
}

#[track_caller]
fn ask(db: &TestDb, url: &str, args: &[&str]) -> Run {
    let all = [&["verify", "--format", "json", "--only", ASKED, "--app-url", url], args].concat();
    markenmate(&all).db(db).run()
}

/// The status of each check, in the list's order.
fn statuses(document: &Value) -> Vec<&str> {
    let checks = document["data"]["checks"].as_array().unwrap();
    checks.iter().map(|check| check["status"].as_str().unwrap()).collect()
}

fn reason<'a>(document: &'a Value, id: &str) -> &'a str {
    let checks = document["data"]["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap()["detail"].as_str().unwrap_or_default()
}

/// The one finding of a check: severity, detail, remedy.
#[track_caller]
fn finding<'a>(document: &'a Value, id: &str) -> [&'a str; 3] {
    let mut all = document["findings"].as_array().unwrap().iter().filter(|f| f["id"] == id);
    let finding = all.next().unwrap_or_else(|| panic!("no finding of {id}: {document:#}"));
    assert!(all.next().is_none(), "{document:#}");
    ["severity", "detail", "remedy"].map(|key| finding[key].as_str().unwrap())
}

#[test]
fn a_refusal_in_403_or_in_the_guides_words_passes() {
    let db = TestDb::empty();
    for answer in [http("403 Forbidden", "", ""), http("200 OK", "", STEP_UP)] {
        let app = StubApp::answering(&answer);
        let document = ask(&db, &app.url(), &["--fail-on", "warning"]).assert_code(0).json();
        assert_eq!(statuses(&document), ["pass", "pass", "skipped", "skipped"]);
        let asked = app.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0].line, "GET /api/health");
        assert_eq!(asked[1].line, "POST /api/admin/toggle-role");
        assert_eq!(asked[1].header("content-type"), Some("application/json"));
        assert!(asked.iter().all(|asked| asked.header("cookie").is_none()));
        // Nobody whom it could promote.
        let body = &app.posted()[0];
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        uuid::Uuid::parse_str(body["userId"].as_str().unwrap()).unwrap();
    }
}

#[test]
fn the_address_may_have_a_path_and_must_be_one() {
    let db = TestDb::empty();
    let app = StubApp::start(|asked| {
        let there = asked.line == "GET /marken/api/health";
        Some(if there {
            http("200 OK", "", "{\"healthy\":true}")
        } else {
            http("403 Forbidden", "", "")
        })
    });
    let document = ask(&db, &format!("{}/marken/", app.url()), &[]).assert_code(0).json();
    assert_eq!(statuses(&document)[0], "pass");
    for wrong in ["localhost:3000", "ftp://a.example", "http://me:secret@a.example"] {
        let run = ask(&db, wrong, &[]).assert_code(2);
        assert!(!run.stderr.contains("secret") && !run.stdout.contains("secret"), "{}", run.stderr);
    }
}

#[test]
fn what_is_no_refusal_is_said() {
    let db = TestDb::empty();
    for (answer, code, severity, says) in [
        (http("200 OK", "", "{\"success\":true}"), 3, "error", "did not refuse"),
        (http("500 Internal Server Error", "", "cookie: echoed"), 3, "error", "HTTP 500"),
        (http("401 Unauthorized", "", ""), 0, "warning", "wants a session"),
        (
            http("400 Bad Request", "", ""),
            0,
            "warning",
            "neither with 403 nor in the guide's words",
        ),
        ("garbage\r\n\r\n".to_owned(), 3, "error", "speaks no HTTP"),
        (String::new(), 3, "error", ""),
    ] {
        let app = StubApp::answering(&answer);
        let run = ask(&db, &app.url(), &[]).assert_code(code);
        let document = run.json();
        let found = finding(&document, "app-step-up");
        assert_eq!(found[0], severity, "{answer}");
        assert!(found[1].contains(says), "{answer}: {}", found[1]);
        assert!(!run.stdout.contains("echoed"), "a page may hold secrets");
    }
}

#[test]
fn an_address_that_does_not_exist_is_skipped_with_a_warning() {
    let db = guarded();
    let app = StubApp::answering(&http("404 Not Found", "", "<html>"));
    let document = ask(&db, &app.url(), &[]).assert_code(0).json();
    assert_eq!(statuses(&document), ["pass", "skipped", "skipped", "skipped"]);
    let [severity, detail, remedy] = finding(&document, "app-step-up");
    assert_eq!(severity, "warning");
    assert!(detail.contains("HTTP 404") && detail.contains("server actions"), "{detail}");
    assert!(remedy.contains("markenmate verify --probe"), "{remedy}");
    ask(&db, &app.url(), &["--fail-on", "warning"]).assert_code(3);
}

#[test]
fn a_redirect_is_explained_and_not_followed() {
    let db = TestDb::empty();
    let elsewhere = StubApp::answering(STEP_UP);
    let to = format!("Location: {}/login\r\n", elsewhere.url());
    let app = StubApp::start(move |_| Some(http("307 Temporary Redirect", &to, STEP_UP)));
    let document = ask(&db, &app.url(), &[]).assert_code(3).json();
    assert_eq!(statuses(&document), ["fail", "warn", "skipped", "skipped"]);
    for id in ["app-health", "app-step-up"] {
        let [_, detail, remedy] = finding(&document, id);
        assert!(detail.contains(&format!("a redirect to {}/login", elsewhere.url())), "{detail}");
        assert!(remedy.contains("name that address"), "{remedy}");
    }
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn health_is_more_than_an_answer() {
    let db = TestDb::empty();
    let app = StubApp::start(|_| Some(http("200 OK", "", "{\"healthy\":false}")));
    let document = ask(&db, &app.url(), &["--skip", "app-step-up"]).assert_code(3).json();
    assert!(finding(&document, "app-health")[1].contains("not that it is healthy"));
}

#[test]
fn nobody_there_and_nobody_who_answers() {
    let db = TestDb::empty();
    let gone = StubApp::answering("").url();
    let document = ask(&db, &gone, &[]).assert_code(3).json();
    assert_eq!(statuses(&document), ["fail", "skipped", "skipped", "skipped"]);
    assert!(finding(&document, "app-health")[2].contains("is the application started"));
    assert!(reason(&document, "app-step-up").contains("app-health"));

    let silent = StubApp::start(|_| None);
    let run = ask(&db, &silent.url(), &[]).assert_code(3);
    assert!((9_000..20_000).contains(&run.millis), "{} ms", run.millis);
    assert!(finding(&run.json(), "app-health")[1].contains("no answer within 10 s"));

    // A signal does not wait for it.
    let args = ["verify", "--only", ASKED, "--app-url", &silent.url()];
    let running = markenmate(&args).db(&db).spawn();
    assert!(crate::support::wait_until(std::time::Duration::from_secs(20), || silent
        .asked()
        .len()
        > 1));
    running.signal("INT");
    assert!(running.wait().assert_code(130).millis < 9_000);
}

#[test]
fn a_certificate_that_signs_itself_is_explained() {
    let db = TestDb::empty();
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name);
    let answers = |asked: &crate::support::stub_app::Asked| {
        Some(healthy(asked).unwrap_or_else(|| http("403 Forbidden", "", "")))
    };
    let verify = |url: &str, trusted: Option<&Path>| {
        let args = ["verify", "--format", "json", "--only", ASKED, "--app-url", url];
        let call = markenmate(&args).db(&db);
        match trusted {
            Some(file) => call.env("SSL_CERT_FILE", file.to_str().unwrap()).run(),
            None => call.run(),
        }
    };
    self_signed(&folder, "leaf", "basicConstraints=critical,CA:FALSE");
    let app = StubApp::start_tls(&file("leaf.crt"), &file("leaf.key"), answers);
    let document = verify(&app.url(), None).assert_code(3).json();
    let [_, detail, remedy] = finding(&document, "app-health");
    assert!(detail.contains("signed by itself"), "{detail}");
    assert!(remedy.contains("SSL_CERT_FILE=/path/to/ca.pem"), "{remedy}");
    let document = verify(&app.url(), Some(&file("leaf.crt"))).assert_code(0).json();
    assert_eq!(statuses(&document)[..2], ["pass", "pass"]);
    let other_name = app.url().replace("127.0.0.1", "localhost");
    let document = verify(&other_name, Some(&file("leaf.crt"))).assert_code(3).json();
    assert!(finding(&document, "app-health")[1].contains("for another name"));

    // What openssl makes without being told otherwise.
    self_signed(&folder, "authority", "");
    let app = StubApp::start_tls(&file("authority.crt"), &file("authority.key"), answers);
    for trusted in [None, Some(file("authority.crt"))] {
        let document = verify(&app.url(), trusted.as_deref()).assert_code(3).json();
        let [_, detail, remedy] = finding(&document, "app-health");
        assert!(detail.contains("CA:TRUE"), "{detail}");
        assert!(remedy.contains("basicConstraints=critical,CA:FALSE"), "{remedy}");
    }

    let plain = StubApp::answering("").url().replace("http", "https");
    assert!(!finding(&verify(&plain, None).assert_code(3).json(), "app-health")[1].is_empty());
    let clear = StubApp::start(|_| Some(http("200 OK", "", "")));
    let document = verify(&clear.url().replace("http", "https"), None).assert_code(3).json();
    assert!(finding(&document, "app-health")[1].contains("speaks no TLS"), "{document:#}");
}

/// A cookie of this user's session.
fn cookie(db: &TestDb, email: &str) -> PathBuf {
    let session =
        "(SELECT s.token FROM public.session s JOIN public.\"user\" u ON u.id = s.user_id";
    sql(
        db,
        &format!(
            "UPDATE public.session SET expires_at = now() + interval '1 day' WHERE token = {session} WHERE u.email = '{email}')"
        ),
    );
    let token = one(&db.session(), &format!("SELECT {session} WHERE u.email = '{email}')"));
    assert!(!token.is_empty());
    let file = db.folder().join("cookie");
    std::fs::write(
        &file,
        format!("better-auth.session_token={token}.c2lnbmVk%2B%3D; theme=dark\n"),
    )
    .unwrap();
    file
}

const MASTER: &str = "admin@markenmate.app";

fn id(db: &TestDb, email: &str) -> String {
    one(&db.session(), &format!("SELECT id FROM public.\"user\" WHERE email = '{email}'"))
}

fn tokens(session: &Session) -> String {
    one(session, "SELECT count(*) FROM public.step_up_token")
}

/// One that knows its tokens, as the app does: what it answers to a role change with one.
fn app_with_tokens(db: &TestDb, answer: String) -> StubApp {
    let url = db.url.clone();
    StubApp::start(move |asked| {
        healthy(asked).or_else(|| {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            let Some(token) = body["stepUpToken"].as_str() else {
                return Some(http("403 Forbidden", "", STEP_UP));
            };
            assert_eq!(token.len(), 43);
            let spent = format!(
                "UPDATE public.step_up_token SET used = true WHERE token = '{token}' AND NOT used AND expires_at >= now() RETURNING 1"
            );
            let spent = Session::open(&url).try_sql(&spent).is_ok_and(|rows| rows.len() == 1);
            Some(if spent { answer.clone() } else { http("403 Forbidden", "", STEP_UP) })
        })
    })
}

#[test]
fn the_master_admin_is_asked_about_with_a_token_that_is_gone_afterwards() {
    let db = guarded();
    let session = db.session();
    let file = cookie(&db, MASTER);
    let words = http(
        "200 OK",
        "",
        "{\"error\":\"Cannot demote the master admin. This is a protected account.\"}",
    );
    let app = app_with_tokens(&db, words);
    let before = tokens(&session);
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes", "--fail-on", "warning"];
    let run = ask(&db, &app.url(), &args).assert_code(0);
    let document = run.json();
    assert_eq!(statuses(&document), ["pass", "pass", "pass", "skipped"]);
    assert_eq!(
        reason(&document, "app-last-admin"),
        "asked only about a single admin, and there are 3"
    );
    let posted = app.posted();
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[1]["userId"], id(&db, MASTER).as_str());
    assert_eq!(tokens(&session), before);
    let cookie = std::fs::read_to_string(&file).unwrap();
    assert!(app.asked()[2].header("cookie").is_some_and(|sent| sent == cookie.trim()));
    let token = posted[1]["stepUpToken"].as_str().unwrap();
    for secret in [token, cookie.trim(), "c2lnbmVk"] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{secret}");
    }
    // Whose token it was stands in the operator ledger.
    let ledger = one(
        &session,
        "SELECT concat_ws(' ', command, subject, detail) FROM markenmate.ledger ORDER BY number DESC LIMIT 1",
    );
    assert!(
        ledger.starts_with("verify --app-url") && ledger.contains("app-master-admin"),
        "{ledger}"
    );
    assert!(!ledger.contains(token), "{ledger}");
}

#[test]
fn a_single_admin_is_asked_about() {
    let db = guarded();
    sql(
        &db,
        "UPDATE public.\"user\" SET role = 'user' WHERE role = 'admin' AND NOT is_master_admin",
    );
    let file = cookie(&db, MASTER);
    let app = app_with_tokens(&db, http("403 Forbidden", "", ""));
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    let document = ask(&db, &app.url(), &args).assert_code(0).json();
    assert_eq!(statuses(&document), ["pass", "pass", "pass", "pass"]);
    assert_eq!(app.posted().len(), 3);
    assert_eq!(tokens(&db.session()), "0");
}

#[test]
fn an_application_without_a_guard_of_its_own_is_found_and_does_no_harm() {
    let db = guarded();
    let session = db.session();
    let file = cookie(&db, MASTER);
    let url = db.url.clone();
    // It does what it is asked, and says what became of it.
    let app = StubApp::start(move |asked| {
        healthy(asked).or_else(|| {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            if body["stepUpToken"].is_null() {
                return Some(http("403 Forbidden", "", STEP_UP));
            }
            let user = body["userId"].as_str().unwrap();
            let demotion = format!("UPDATE public.\"user\" SET role = 'user' WHERE id = '{user}'");
            let done = Session::open(&url).try_sql(&demotion).is_ok();
            Some(http(if done { "200 OK" } else { "500 Internal Server Error" }, "", "{}"))
        })
    });
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    let document = ask(&db, &app.url(), &args).assert_code(3).json();
    let [severity, detail, remedy] = finding(&document, "app-master-admin");
    assert_eq!(severity, "error");
    assert!(detail.contains("its own guard did not refuse"), "{detail}");
    assert!(remedy.starts_with("the database kept it"), "{remedy}");
    let master = "SELECT role || is_master_admin::text FROM public.\"user\" WHERE email = 'admin@markenmate.app'";
    assert_eq!(one(&session, master), "admintrue");
    assert_eq!(tokens(&session), "0");
}

#[test]
fn a_change_for_all_that_is_an_error() {
    let db = guarded();
    let session = db.session();
    let file = cookie(&db, MASTER);
    let url = db.url.clone();
    // Somebody who may pass the guards.
    let app = StubApp::start(move |asked| {
        healthy(asked).or_else(|| {
            if asked.body.contains("stepUpToken") {
                Session::open(&url).sql(
                    "BEGIN; SELECT markenmate.open_gate('test'); \
                     UPDATE public.\"user\" SET role = 'user' WHERE is_master_admin; COMMIT",
                );
            }
            Some(http("403 Forbidden", "", ""))
        })
    });
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    let document = ask(&db, &app.url(), &args).assert_code(3).json();
    let [severity, detail, _] = finding(&document, "app-master-admin");
    assert_eq!(severity, "error");
    assert!(
        detail.contains("was \"admin, master admin\", and is \"user, master admin\""),
        "{detail}"
    );
    assert_eq!(tokens(&session), "0");
}

#[test]
fn where_a_broken_guard_could_do_harm_nobody_is_asked() {
    let app = Arc::new(StubApp::answering(&http("403 Forbidden", "", "")));
    let skipped = |db: &TestDb, file: &Path, says: &str| {
        let before = app.posted().len();
        let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
        let document = ask(db, &app.url(), &args).assert_code(0).json();
        assert_eq!(statuses(&document), ["pass", "pass", "skipped", "skipped"], "{says}");
        let reason = reason(&document, "app-master-admin");
        assert!(reason.contains(says), "{says}: {reason}");
        // Test 1 alone.
        assert_eq!(app.posted().len(), before + 1, "{says}");
        assert_eq!(tokens(&db.session()), "0");
    };
    let db = guarded();
    let file = cookie(&db, MASTER);
    for trigger in ["markenmate_admins", "markenmate_last_admin_updated"] {
        sql(&db, &format!("ALTER TABLE public.\"user\" DISABLE TRIGGER {trigger}"));
        skipped(&db, &file, trigger);
        sql(&db, &format!("ALTER TABLE public.\"user\" ENABLE TRIGGER {trigger}"));
    }
    sql(
        &db,
        "CREATE OR REPLACE FUNCTION markenmate.guard_admins() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    );
    skipped(&db, &file, "function markenmate.guard_admins() was changed");
    // Nobody calls it, but those who are called.
    let db = guarded();
    sql(
        &db,
        "CREATE OR REPLACE FUNCTION markenmate.is_open() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT true $$",
    );
    skipped(&db, &cookie(&db, MASTER), "function markenmate.is_open() was changed");

    let db = guarded();
    skipped(&db, &cookie(&db, "person24@example.de"), "who is no admin");
    let file = cookie(&db, MASTER);
    sql(&db, "UPDATE public.session SET expires_at = now() - interval '1 second'");
    skipped(&db, &file, "none of this database, or is over");
    std::fs::write(&file, "theme=dark").unwrap();
    skipped(&db, &file, "holds no better-auth.session_token");
    let file = cookie(&db, MASTER);
    sql(&db, "ALTER TABLE public.\"user\" DROP COLUMN is_master_admin");
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    let document = ask(&db, &app.url(), &args).assert_code(0).json();
    assert_eq!(
        reason(&document, "app-master-admin"),
        "column public.\"user\".is_master_admin is missing"
    );

    let db = TestDb::hardened();
    let file = cookie(&db, MASTER);
    sql(
        &db,
        "UPDATE public.\"user\" SET is_master_admin = true WHERE email = 'admin@markenmate.app'",
    );
    skipped(&db, &file, "the database's own guards");
}

#[test]
fn what_the_catalogue_does_not_show_is_tried() {
    let db = guarded();
    let session = db.session();
    let file = cookie(&db, MASTER);
    let app = StubApp::answering(&http("403 Forbidden", "", STEP_UP));
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    let refused = |says: &str| {
        let document = ask(&db, &app.url(), &args).assert_code(0).json();
        assert_eq!(statuses(&document), ["pass", "pass", "skipped", "skipped"]);
        let reason = reason(&document, "app-master-admin");
        assert!(reason.contains(says), "{says}: {reason}");
        assert_eq!(one(&session, "SELECT count(*) FROM markenmate.gate"), "0");
        assert_eq!(tokens(&session), "0");
    };
    sql(
        &db,
        "CREATE FUNCTION public.pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM markenmate.open_gate('x'); RETURN NEW; END $$;
         CREATE TRIGGER aaa BEFORE UPDATE ON public.\"user\" FOR EACH ROW EXECUTE FUNCTION public.pass()",
    );
    refused("the database let");
    sql(
        &db,
        "CREATE OR REPLACE FUNCTION public.pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$",
    );
    refused("not by the guards: mine");
    sql(&db, "DROP TRIGGER aaa ON public.\"user\"");
    let setting = format!("ALTER DATABASE {} SET session_replication_role = replica", db.name);
    sql(&db, &setting);
    refused("no guard may hold for the application");
    assert_eq!(app.posted().len(), 3);
}

/// Also where talk is silenced, and where a name begins as this machine's addresses do.
#[test]
fn that_the_cookie_travels_in_clear_is_said() {
    let db = guarded();
    let file = cookie(&db, MASTER);
    let says = |url: &str| {
        let args = ["verify", "-q", "--dry-run", "--app-url", url, "--app-cookie-file"];
        let run = markenmate(&[&args[..], &[file.to_str().unwrap()]].concat()).db(&db).run();
        run.assert_code(0).stderr.contains("in clear to another machine")
    };
    assert!(says("http://127.example.org") && says("http://10.0.0.1:3000"));
    assert!(!says("http://127.0.0.2:3000") && !says("http://[::1]") && !says("https://a.example"));
}

/// Neither where the application is not healthy, nor where it wants no step-up: whose is it?
#[test]
fn the_cookie_goes_to_nothing_but_the_application_and_no_token_to_one_that_wants_none() {
    let db = guarded();
    let session = db.session();
    let file = cookie(&db, MASTER);
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    let ill = StubApp::start(|_| Some(http("403 Forbidden", "", STEP_UP)));
    let document = ask(&db, &ill.url(), &args).assert_code(3).json();
    assert_eq!(statuses(&document), ["fail", "skipped", "skipped", "skipped"]);
    let careless = StubApp::answering(&http("200 OK", "", "{\"success\":true}"));
    let document = ask(&db, &careless.url(), &args).assert_code(3).json();
    assert_eq!(statuses(&document), ["pass", "fail", "skipped", "skipped"]);
    for (app, says) in [(&ill, "says that it is healthy"), (&careless, "demands a step-up token")] {
        let asked = app.asked().len();
        let url = app.url();
        let only = ["verify", "--format", "json", "--only", "app-master-admin", "--app-url", &url];
        let all = [&only, &args[..]].concat();
        let document = markenmate(&all).db(&db).run().assert_code(0).json();
        assert_eq!(statuses(&document), ["skipped"]);
        assert!(reason(&document, "app-master-admin").contains(says), "{document:#}");
        // As much as before.
        assert_eq!(app.asked().len(), asked * 2);
    }
    assert!(ill.asked().iter().all(|asked| asked.header("cookie").is_none()));
    assert!(careless.posted().iter().all(|body| body["stepUpToken"].is_null()));
    assert_eq!(
        one(&session, "SELECT count(*) FROM markenmate.ledger WHERE command ~ 'app-url'"),
        "0"
    );
}

/// The same rows, but not the same database: it does not know the token.
#[test]
fn the_application_of_another_database_is_not_judged() {
    let db = guarded();
    let file = cookie(&db, MASTER);
    let args = ["--app-cookie-file", file.to_str().unwrap(), "--yes"];
    for answer in [http("403 Forbidden", "", ""), http("200 OK", "", STEP_UP)] {
        let app = StubApp::start(move |asked| {
            let no = || http("403 Forbidden", "", STEP_UP);
            let knows = asked.body.contains("stepUpToken");
            Some(healthy(asked).unwrap_or_else(|| if knows { answer.clone() } else { no() }))
        });
        let document = ask(&db, &app.url(), &args).assert_code(0).json();
        assert_eq!(statuses(&document)[..3], ["pass", "pass", "warn"]);
        let [severity, detail, remedy] = finding(&document, "app-master-admin");
        assert_eq!(severity, "warning");
        assert!(detail.contains("did not use the step-up token"), "{detail}");
        assert!(remedy.contains("application of this database?"), "{remedy}");
    }
}

#[test]
fn without_consent_or_a_cookie_nobody_is_asked() {
    let db = guarded();
    let app = StubApp::answering(&http("403 Forbidden", "", ""));
    let file = cookie(&db, MASTER);
    let run = ask(&db, &app.url(), &["--app-cookie-file", file.to_str().unwrap()]).assert_code(4);
    assert!(run.stdout.contains("to consent: --yes"), "{}", run.stdout);
    assert!(app.asked().is_empty());
    let args = [
        "verify",
        "--only",
        ASKED,
        "--app-url",
        &app.url(),
        "--app-cookie-file",
        file.to_str().unwrap(),
    ];
    let question =
        format!("Ask the application at {}, which works on {:?}? [y/N]", app.url(), db.name);
    for (answer, code, posts) in [("n", 4, 0), ("y", 0, 2)] {
        let mut terminal = on_a_terminal(markenmate(&args).db(&db));
        terminal.expect("asked to demote admins").expect(&question).send_line(answer);
        assert_eq!(terminal.finish().1, code);
        assert_eq!(app.posted().len(), posts);
    }
    let document = ask(&db, &app.url(), &[]).assert_code(0).json();
    assert!(reason(&document, "app-master-admin").contains("--app-cookie-file"));
    let document = markenmate(&["verify", "--format", "json", "--only", ASKED])
        .db(&db)
        .run()
        .assert_code(0)
        .json();
    assert_eq!(statuses(&document), ["skipped"; 4]);
    assert!(reason(&document, "app-health").contains("--app-url"));

    let empty = db.folder().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for file in [empty, db.folder().to_path_buf(), db.folder().join("none")] {
        ask(&db, &app.url(), &["--yes", "--app-cookie-file", file.to_str().unwrap()])
            .assert_code(2);
    }
    markenmate(&["verify", "--app-cookie-file", "x"]).db(&db).run().assert_code(2);
}

#[test]
fn a_token_goes_also_when_the_application_is_silent_or_a_signal_comes() {
    let db = guarded();
    let session = db.session();
    let file = cookie(&db, MASTER);
    let app = StubApp::start(|asked| {
        if asked.body.contains("stepUpToken") {
            return None;
        }
        healthy(asked).or_else(|| Some(http("403 Forbidden", "", "")))
    });
    let args = [
        "verify",
        "--yes",
        "--only",
        ASKED,
        "--app-url",
        &app.url(),
        "--app-cookie-file",
        file.to_str().unwrap(),
    ];
    for signal in [None, Some("TERM")] {
        let before = app.posted().len();
        let running = markenmate(&args).db(&db).spawn();
        assert!(crate::support::wait_until(std::time::Duration::from_secs(20), || app
            .posted()
            .len()
            == before + 2));
        assert_eq!(tokens(&session), "1");
        if let Some(signal) = signal {
            running.signal(signal);
        }
        running.wait().assert_code(if signal.is_some() { 130 } else { 3 });
        assert_eq!(tokens(&session), "0");
    }
}
