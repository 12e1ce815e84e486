//! What somebody took away behind the tool's back is named by every command that needs it, and each says
//! the same that mends it.

use serde_json::Value;

use crate::support::own_server::program;
use crate::support::state::{assert_migrated, one};
use crate::support::{Run, TestDb, cluster, markenmate, sql};

use super::rollback::{rollback, used};

fn json(db: &TestDb, args: &[&str]) -> Run {
    markenmate(&[args, &["--format", "json"]].concat()).db(db).run()
}

#[track_caller]
fn finding(document: &Value, id: &str) -> Value {
    let all = document["findings"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {document:#}")).clone()
}

#[track_caller]
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value:#}"))
}

/// Everything that a version of the tool's own schema makes, one after the other.
#[test]
fn what_is_gone_from_the_tools_own_schema_is_seen_and_its_sql_mends_it() {
    let things = [
        "TABLE gate",
        "TABLE turn",
        "TABLE audit_log_archive",
        "SEQUENCE lending_conflicts",
        "TABLE run",
        "TABLE ledger",
        "TABLE set_aside",
        "TABLE cleanup",
        "TRIGGER markenmate_append_only ON markenmate.app_log_archive",
        "FUNCTION guard_archive() CASCADE",
    ];
    let db = TestDb::migrated();
    sql(&db, "DO $$ BEGIN CREATE ROLE told_reader; EXCEPTION WHEN duplicate_object THEN END $$;
              GRANT USAGE ON SCHEMA markenmate TO told_reader; ALTER TABLE public.\"user\" OWNER TO postgres");
    for thing in things {
        let (kind, name) = thing.split_once(' ').unwrap();
        let what = if kind == "TRIGGER" { name.to_owned() } else { format!("markenmate.{name}") };
        sql(&db, &format!("DROP {kind} {what}"));
        let seen = json(&db, &["status"]).assert_code(0).json();
        assert_eq!(seen["data"]["state"], "drifted", "{thing}: {seen:#}");
        let found = finding(&seen, "own-schema");
        let short = name.split([' ', '(']).next().unwrap();
        assert!(text(&found, "detail").contains(short), "{found:#}");
        assert_eq!(text(&found, "severity"), "error");
        for (args, code) in [
            (&["migrate", "--check"][..], 4),
            (&["migrate", "--yes"], if ["TABLE", "SEQUENCE"].contains(&kind) { 4 } else { 0 }),
            (&["rollback", "--check"], 4),
            (&["rollback", "--confirm", &db.name], 4),
            (&["cleanup", "set-aside"], 4),
            (&["verify", "--only", "own-schema"], 3),
        ] {
            let said = json(&db, args).assert_code(code);
            if code > 0 {
                assert_eq!(
                    finding(&said.json(), "own-schema")["remedy"],
                    found["remedy"],
                    "{thing}"
                );
            }
        }
        sql(&db, text(&found, "remedy"));
        let seen = json(&db, &["status"]).assert_code(0).json();
        assert_eq!(seen["data"]["state"], "current", "{thing}: {seen:#}");
        if ["TABLE", "SEQUENCE"].contains(&kind) {
            assert_eq!(
                one(
                    &db.session(),
                    &format!(
                        "SELECT has_any FROM (SELECT relacl::text LIKE '%told_reader=r/%' AS has_any FROM pg_class WHERE oid = 'markenmate.{name}'::regclass) x"
                    )
                ),
                "t"
            );
        }
    }
    markenmate(&["verify", "--skip", "ledger-chain,default-password,master-admin-set"])
        .db(&db)
        .run()
        .assert_code(0);
    // And it is in working order.
    rollback(&db, &[]).assert_code(0);
    json(&db, &["migrate", "--yes"]).assert_code(0);
    assert_migrated(&db.url);
}

#[test]
fn without_its_register_nothing_that_is_kept_is_lost() {
    let db = used();
    rollback(&db, &[]).assert_code(0);
    let rows = one(&db.session(), "SELECT count(*) FROM markenmate.set_aside");
    sql(&db, "DROP TABLE markenmate.set_aside");
    let seen = json(&db, &["status"]).assert_code(0).json();
    let remedy = text(&finding(&seen, "own-schema"), "remedy").to_owned();
    sql(&db, &remedy);
    assert_eq!(one(&db.session(), "SELECT count(*) FROM markenmate.set_aside"), rows);
    let seen = json(&db, &["status"]).assert_code(0).json();
    assert_eq!(seen["data"]["next"], "markenmate migrate", "{seen:#}");
    let done = json(&db, &["migrate", "--yes"]).assert_code(0).json();
    assert_eq!(done["data"]["returned"].as_array().unwrap().len().to_string(), rows, "{done:#}");
    assert_migrated(&db.url);
}

#[test]
fn a_kept_table_that_somebody_dropped_is_written_off_and_the_rest_returns() {
    for all in [false, true] {
        let db = used();
        rollback(&db, &[]).assert_code(0);
        let session = db.session();
        let audit =
            one(&session, "SELECT name FROM markenmate.set_aside WHERE of_table = 'audit_log'");
        session.sql(&match all {
            false => format!("DROP TABLE markenmate_quarantine.{audit}"),
            true => "DROP SCHEMA markenmate_quarantine CASCADE".to_owned(),
        });
        let seen = json(&db, &["status"]).assert_code(0).json();
        let remedy = text(&finding(&seen, "set-aside-lost"), "remedy").to_owned();
        assert!(remedy.contains(&audit), "{remedy}");
        assert_eq!(seen["data"]["next"], remedy.as_str());
        for args in [&["migrate", "--check"][..], &["migrate", "--yes"], &["migrate", "--dry-run"]]
        {
            if args[1] == "--dry-run" {
                continue;
            }
            let said = json(&db, args).assert_code(4).json();
            assert_eq!(finding(&said, "set-aside-lost")["remedy"], remedy.as_str());
            assert!(said["error"]["hints"].to_string().contains(&remedy), "{said:#}");
        }
        let words: Vec<&str> = remedy.split(' ').skip(1).collect();
        let listed = json(&db, &[&words[..], &["--dry-run"]].concat()).assert_code(0).json();
        assert_eq!(listed["data"]["tables"][0]["state"], "lost", "{listed:#}");
        json(&db, &[&words[..], &["--confirm", &db.name]].concat()).assert_code(0);
        let done = json(&db, &["migrate", "--yes"]).assert_code(0).json();
        let returned = done["data"]["returned"].as_array().map_or(0, Vec::len);
        assert_eq!(returned, if all { 0 } else { 4 }, "{done:#}");
        assert_migrated(&db.url);
    }
}

/// Whatever became of whoever had it is said as it is.
#[test]
fn why_the_master_admins_flag_did_not_return() {
    for (meanwhile, said) in [
        ("DELETE FROM public.\"user\" WHERE id = %", "user % is gone"),
        ("UPDATE public.\"user\" SET role = 'user' WHERE id = %", "is no admin any more"),
        (
            "ALTER TABLE public.\"user\" ADD COLUMN is_master_admin boolean NOT NULL DEFAULT false;
             UPDATE public.\"user\" SET is_master_admin = true WHERE id = (SELECT min(id) FROM public.\"user\" WHERE role = 'admin' AND id <> %);
             PUSH",
            "has it now",
        ),
    ] {
        let db = used();
        let session = db.session();
        let master = one(&session, "SELECT id FROM public.\"user\" WHERE is_master_admin");
        rollback(&db, &[]).assert_code(0);
        let push = crate::support::schema_file("V2__security_hardening.sql");
        match meanwhile.split_once("PUSH") {
            None => drop(session.sql(&meanwhile.replace('%', &format!("'{master}'")))),
            Some((own, _)) => {
                session.sql(&push);
                let set = own.split_once(';').unwrap().1;
                session.sql(&set.replace('%', &format!("'{master}'")));
            }
        }
        let done = json(&db, &["migrate", "--yes"]).assert_code(0).json();
        let all = done["findings"].as_array().unwrap();
        let flag = all.iter().find(|f| {
            f["id"] == "set-aside-left" && f["subject"] == "public.\"user\".is_master_admin"
        });
        let flag = flag.unwrap_or_else(|| panic!("{done:#}"));
        let said = said.replace('%', &master);
        assert!(text(flag, "detail").contains(&said), "{said}: {flag:#}");
        assert!(!text(flag, "detail").contains("several"), "{flag:#}");
    }
}

#[test]
fn in_a_database_of_something_else_there_is_nothing_to_take_back() {
    let db = TestDb::empty();
    for args in [
        &["rollback", "--check"][..],
        &["rollback", "--dry-run"],
        &["rollback", "--confirm", &db.name],
    ] {
        let said = json(&db, args).assert_code(4).json();
        assert!(
            text(&said["error"], "message").contains("none of the application's tables"),
            "{said:#}"
        );
        assert!(said["error"]["hints"].to_string().contains("-d markenmate"), "{said:#}");
    }
    // Before any migration was recorded it is nothing to do, as ever.
    json(&TestDb::baseline(), &["rollback"]).assert_code(0);
}

#[test]
fn status_says_what_the_command_before_it_said() {
    let db = TestDb::baseline();
    let done = json(&db, &["migrate", "--yes"]).assert_code(0).json();
    assert_eq!(done["next"], "markenmate set-master-admin");
    let seen = json(&db, &["status"]).assert_code(0).json();
    assert_eq!(seen["data"]["next"], done["next"]);
    let done =
        json(&db, &["set-master-admin", "--yes", "--allow-default-password"]).assert_code(0).json();
    let seen = json(&db, &["status"]).assert_code(0).json();
    assert_eq!(seen["data"]["next"], done["next"]);

    // Taken back on purpose is not the same as not yet there.
    let reason = "the new code fails; it's slow";
    rollback(&db, &["--reason", reason]).assert_code(0);
    let seen = json(&db, &["status"]).assert_code(0).json();
    let back = finding(&seen, "rolled-back");
    assert!(text(&back, "detail").starts_with("by rollback at 20"), "{back:#}");
    assert!(
        text(&back, "detail").contains("as postgres, because: ")
            && text(&back, "detail").ends_with(reason),
        "{back:#}"
    );
    assert_eq!(seen["data"]["next_first"], "once what it was rolled back for is mended");
    let human = markenmate(&["status"]).db(&db).run().assert_code(0).stdout;
    assert!(
        human.ends_with(
            "next: once what it was rolled back for is mended, then: markenmate migrate\n"
        ),
        "{human}"
    );
    json(&db, &["migrate", "--yes", "--to", "2"]).assert_code(0);
    let seen = json(&db, &["status"]).assert_code(0).json();
    assert_eq!(seen["data"]["next_first"], Value::Null, "{seen:#}");
    assert!(!seen.to_string().contains("rolled-back"), "{seen:#}");
}

#[test]
fn what_may_not_be_read_is_not_told_as_if_it_were_not_there() {
    let db = TestDb::migrated();
    let role = format!("blind_{}", db.name);
    sql(&db, &format!("CREATE ROLE {role} LOGIN; REVOKE ALL ON SCHEMA markenmate FROM PUBLIC"));
    let run = |args: &[&str]| markenmate(args).url(&db.url_as(&role)).run().assert_code(0);
    let seen = run(&["status", "--format", "json"]).json();
    for migration in seen["data"]["migrations"].as_array().unwrap() {
        assert_eq!(migration["state"], "unknown", "{seen:#}");
    }
    let human = run(&["status"]).stdout;
    assert!(human.contains("whether that is recorded may not be read"), "{human}");
    assert!(!human.contains("its history is not") && !human.contains("pending"), "{human}");
    sql(&db, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn what_is_kept_is_listed_whatever_becomes_of_it() {
    let db = used();
    rollback(&db, &[]).assert_code(0);
    sql(&db, "UPDATE markenmate.set_aside SET state = 'returning' WHERE of_table = 'audit_log'");
    let listed = json(&db, &["cleanup", "set-aside", "--dry-run"]).assert_code(4).json();
    assert_eq!(listed["data"]["tables"].as_array().unwrap().len(), 5, "{listed:#}");
    let human = markenmate(&["cleanup", "set-aside", "--dry-run"]).db(&db).run().assert_code(4);
    let both = format!("{}{}", human.stdout, human.stderr);
    assert!(both.contains("returning") && both.contains("step_up_token"), "{both}");
}

/// One drift, one remedy; and it goes to its end where nobody can be asked.
#[test]
fn the_same_drift_has_one_remedy_and_it_needs_no_terminal() {
    let db = TestDb::migrated();
    sql(&db, "DROP FUNCTION markenmate.close_gate() CASCADE");
    let seen = json(&db, &["status"]).assert_code(0).json();
    let remedy = finding(&seen, "drift")["remedy"].clone();
    for args in [&["migrate", "--check"][..], &["rollback", "--check"]] {
        let said = json(&db, args).assert_code(4).json();
        assert_eq!(finding(&said, "drift")["remedy"], remedy, "{args:?}");
    }
    let judged = json(&db, &["verify", "--only", "contract"]).assert_code(3).json();
    assert_eq!(finding(&judged, "contract")["remedy"], remedy);
    let bin = db.folder().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_markenmate"), bin.join("markenmate")).unwrap();
    let psql = program(cluster(), "psql");
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", remedy.as_str().unwrap()])
        .env(
            "PATH",
            format!("{}:{}:/usr/bin:/bin", bin.display(), psql.parent().unwrap().display()),
        )
        .env("DATABASE_URL", &db.url)
        .current_dir(db.folder())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(&db, &["status"]).assert_code(0).json()["data"]["state"], "current");
}

#[test]
fn whoever_must_wait_gets_the_forecast_all_the_same() {
    let db = used();
    let session = db.session();
    for (args, found) in
        [(&["rollback", "--check"][..], "connected"), (&["migrate", "--check"], "pending")]
    {
        session.sql("BEGIN; LOCK TABLE public.\"user\" IN SHARE MODE");
        std::thread::sleep(std::time::Duration::from_millis(1200));
        let said = json(&db, args).assert_code(7).json();
        assert!(
            said["data"]["forecast"].as_array().is_some_and(|lines| !lines.is_empty()),
            "{said:#}"
        );
        finding(&said, found);
        assert_eq!(said["next"], format!("markenmate {}", args.join(" ")));
        session.sql("COMMIT");
        if found == "connected" {
            rollback(&db, &["--to", "2"]).assert_code(0);
        }
    }
}

#[test]
fn what_is_to_be_mended_first_is_in_the_document() {
    let db = TestDb::migrated();
    sql(
        &db,
        "ALTER TABLE public.app_log DROP COLUMN correlation_id; ALTER TABLE public.token_lending DROP COLUMN version CASCADE",
    );
    let seen = json(&db, &["status"]).assert_code(0).json();
    assert_eq!(seen["data"]["next_first"], "mend each finding as it says", "{seen:#}");
    assert_eq!(seen["data"]["errors"], 2);
    assert_eq!(seen["outcome"], "done");
}

#[test]
fn one_plan_has_one_number_for_each_thing() {
    let db = used();
    let planned = json(&db, &["rollback", "--dry-run"]).assert_code(0).json();
    let rows = |list: &str, key: &str, name: &str| {
        let all = planned["data"][list].as_array().unwrap();
        let one = all.iter().find(|one| one[key] == name).unwrap_or_else(|| panic!("{planned:#}"));
        one["rows"].clone()
    };
    assert_ne!(rows("set_aside", "what", "public.audit_log"), 0);
    assert_eq!(
        rows("set_aside", "what", "public.audit_log"),
        rows("forecast", "table", "public.audit_log")
    );
    let human = markenmate(&["rollback", "--dry-run"]).db(&db).run().assert_code(0).stdout;
    let locked = human.lines().find(|line| line.contains("of which the tables are locked for"));
    assert!(locked.unwrap().ends_with("locked for milliseconds"), "{human}");
    // And it ends with what does it.
    assert!(human.ends_with("next: markenmate rollback\n"), "{human}");
}

#[test]
fn a_rollback_says_what_it_needs_and_in_its_own_words() {
    let db = used();
    // Where there is nothing to do, nobody need consent.
    json(&db, &["rollback", "--to", "3"]).assert_code(0);
    let refused = json(&db, &["rollback", "--yes"]).assert_code(4).json();
    let hints = refused["error"]["hints"].to_string();
    assert!(refused["error"]["causes"].to_string().contains("--yes is not enough"), "{refused:#}");
    assert!(hints.contains("--confirm") && hints.contains("--dry-run"), "{hints}");
    json(&db, &["rollback", "--check", "--dry-run"]).assert_code(2);
    let check = json(&db, &["rollback", "--to", "2", "--check"]).assert_code(3).json();
    assert_eq!(check["next"], "markenmate rollback --to 2");

    let role = format!("reads_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA markenmate TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA markenmate TO {role}"
        ),
    );
    let reader = markenmate(&["rollback", "--check"]).url(&db.url_as(&role)).run().assert_code(4);
    assert!(reader.stderr.contains("may not roll back this database"), "{}", reader.stderr);
    sql(&db, &format!("REVOKE ALL ON SCHEMA markenmate FROM {role}"));
    let blind = markenmate(&["rollback", "--check"]).url(&db.url_as(&role)).run().assert_code(4);
    assert!(blind.stderr.contains("connect as postgres, who owns"), "{}", blind.stderr);
    sql(&db, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));

    sql(&db, "CREATE VIEW public.seen AS SELECT version FROM public.token_lending");
    let refused = json(&db, &["rollback", "--check"]).assert_code(4).json();
    let remedy = text(&finding(&refused, "dependent"), "remedy").to_owned();
    let (first, then) = remedy.split_once('\n').unwrap();
    assert!(first.starts_with("SELECT pg_get_viewdef("), "{remedy}");
    assert_eq!(then, "DROP VIEW public.seen;");
    sql(&db, &remedy);
    sql(&db, "DROP FUNCTION markenmate.close_gate() CASCADE");
    let drifted = json(&db, &["rollback", "--check"]).assert_code(4).json();
    assert!(
        drifted["error"]["hints"].to_string().contains("then run markenmate rollback again"),
        "{drifted:#}"
    );
}

/// Backups of other databases in the folder are no news.
#[test]
fn what_backup_is_missing_is_said_in_a_line() {
    let (db, other) = (TestDb::baseline(), TestDb::baseline());
    let folder = db.folder().join("backups");
    std::fs::create_dir(&folder).unwrap();
    for name in ["a", "b", "c"] {
        let name = folder.join(name);
        markenmate(&["backup", "-o", name.to_str().unwrap()]).db(&other).run().assert_code(0);
    }
    let planned = json(&db, &["migrate", "--dry-run"]).assert_code(0).json();
    let found = finding(&planned, "no-backup");
    assert!(text(&found, "detail").ends_with("(3 of other databases lie there)"), "{found:#}");
}

#[test]
fn what_a_rehearsal_says_to_type_next_can_be_typed() {
    let db = TestDb::baseline();
    let done = json(&db, &["rehearse", "--certificate", "the paper"]).assert_code(0).json();
    assert_eq!(done["next"], "markenmate migrate --require-rehearsal '1d,the paper'");
    // The page fits a terminal, but for what is one word.
    let page = std::fs::read_to_string(db.folder().join(text(&done["data"], "page"))).unwrap();
    for line in page.lines().filter(|line| !line.starts_with("  ->") && !line.starts_with("     "))
    {
        let is_one_word = line.split_whitespace().count() == 1;
        assert!(line.chars().count() <= 80 || is_one_word, "{line}");
    }
    let other = TestDb::baseline();
    let path = db.folder().join("b");
    markenmate(&["backup", "-o", path.to_str().unwrap()]).db(&other).run().assert_code(0);
    let of_another =
        json(&db, &["rehearse", "--from", path.to_str().unwrap()]).assert_code(0).json();
    assert_eq!(of_another["next"], "markenmate rehearse");
    json(&db, &["migrate", "--yes", "--require-rehearsal", "1d,the paper"]).assert_code(0);
}

#[test]
fn no_backup_is_taken_for_a_scratch_database_that_may_not_be_made() {
    let db = TestDb::baseline();
    let role = format!("reads_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role}; \
                    GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ),
    );
    let run =
        markenmate(&["rehearse", "--on-server", "--yes"]).db(&db).url(&db.url_as(&role)).run();
    let run = run.assert_code(4);
    assert!(run.stderr.contains(&format!("ALTER ROLE {role} CREATEDB;")), "{}", run.stderr);
    assert!(!db.folder().join("backups").exists());
    sql(&db, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
