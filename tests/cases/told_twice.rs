//! What somebody took away behind the tool's back is named by every command that needs it, and each says
//! the same that mends it.

use serde_json::Value;

use crate::support::state::{assert_migrated, one};
use crate::support::{Run, TestDb, markenmate, sql};

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
