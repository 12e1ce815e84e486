//! `rollback --restore`: a backup comes back beside the live database, is compared, and takes its name;
//! whatever goes wrong before that leaves the live database as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use markenmate::backup::manifest::Manifest;

use crate::support::campaign::{figure, tell};
use crate::support::own_server::{program, succeed};
use crate::support::pty::on_a_terminal;
use crate::support::schema::{digests, shape};
use crate::support::state::{catalogue, one, owned_by};
use crate::support::{Invocation, Session, TestDb, cluster, markenmate, sql, start, wait_until};

/// A verified backup of that name in the database's folder.
fn backup(db: &TestDb, name: &str, more: &[&str]) -> PathBuf {
    let args = [&["backup", "-o", name], more].concat();
    markenmate(&args).db(db).run().assert_code(0);
    db.folder().join(name)
}

fn restore(db: &TestDb, path: &Path, more: &[&str]) -> Invocation {
    let path = path.to_str().unwrap();
    let args = [&["rollback", "--restore", path, "--confirm", &db.name, "--format", "json"], more]
        .concat();
    markenmate(&args).db(db)
}

/// The databases of the server that belong to this one's restores.
fn databases(db: &TestDb) -> Vec<String> {
    let session = Session::open(&cluster().url("postgres"));
    let sql = format!(
        "SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%' ORDER BY datname",
        db.name.replace('_', "\\_")
    );
    session.sql(&sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
}

fn drop_databases(db: &TestDb) {
    for name in databases(db) {
        let session = Session::open(&cluster().url("postgres"));
        session.sql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
}

/// The catalogue but for where the files lie.
fn objects(db: &TestDb) -> String {
    let files = regex::Regex::new(r"(?m)^(relation .*) \d+$").unwrap();
    files.replace_all(&catalogue(&db.session()), "$1").into_owned()
}

/// Grants, settings, the owner, the comment and the limit of a database.
fn belongings(name: &str) -> String {
    let session = Session::open(&cluster().url("postgres"));
    one(
        &session,
        &format!(
            "SELECT concat_ws(' | ', pg_get_userbyid(d.datdba), d.datacl::text, d.datconnlimit, d.encoding, d.datcollate,
                              shobj_description(d.oid, 'pg_database'),
                              (SELECT string_agg(setrole::regrole::text || setconfig::text, ';' ORDER BY setrole)
                                 FROM pg_db_role_setting WHERE setdatabase = d.oid))
               FROM pg_database d WHERE d.datname = '{name}'"
        ),
    )
}

#[test]
fn what_was_backed_up_comes_back_whole_and_what_was_there_is_kept() {
    for (form, name) in [("custom", "b.dump"), ("directory", "b"), ("plain", "b.sql")] {
        let db = TestDb::baseline();
        let app = format!("app_{}", db.name);
        sql(
            &db,
            &format!(
                "CREATE ROLE {app}; {}; GRANT SELECT ON public.restaurant TO PUBLIC;
                 ALTER DATABASE {n} OWNER TO {app};
                 ALTER DATABASE {n} SET search_path TO \"$user\", public, \"odd, one\";
                 ALTER DATABASE {n} SET app.greeting = 'it''s';
                 ALTER ROLE {app} IN DATABASE {n} SET work_mem = '5MB';
                 REVOKE ALL ON DATABASE {n} FROM PUBLIC;
                 GRANT CONNECT ON DATABASE {n} TO pg_monitor WITH GRANT OPTION;
                 ALTER DATABASE {n} CONNECTION LIMIT 77;
                 COMMENT ON DATABASE {n} IS 'the live one; it''s ours'",
                owned_by(&app),
                n = db.name,
            ),
        );
        let path = backup(&db, name, &["--checksums", "full"]);
        // It is listed in its own database after the moment that it shows.
        sql(&db, "DELETE FROM public.db_backup WHERE description LIKE 'markenmate%'");
        let (rows, schema, owned) = (digests(&db), shape(&db), belongings(&db.name));
        let whole = objects(&db);
        let sequence = one(&db.session(), "SELECT last_value FROM public.token_lending_id_seq");
        sql(
            &db,
            "DELETE FROM public.token_lending; ALTER TABLE public.restaurant DROP COLUMN name CASCADE;
             CREATE TABLE public.later (id int); INSERT INTO public.later VALUES (1)",
        );
        let oid =
            one(&db.session(), "SELECT oid FROM pg_database WHERE datname = current_database()");

        let document = restore(&db, &path, &[]).run().assert_code(0).json();
        let kept = document["data"]["kept_as"].as_str().unwrap().to_owned();
        assert!(kept.starts_with(&format!("{}_before_restore_20", db.name)), "{kept}");
        assert_eq!(digests(&db), rows, "{form}");
        assert_eq!(shape(&db), schema, "{form}");
        assert_eq!(objects(&db), whole, "{form}");
        assert_eq!(belongings(&db.name), owned, "{form}");
        assert_eq!(
            one(&db.session(), "SELECT last_value FROM public.token_lending_id_seq"),
            sequence
        );
        let statistics = "SELECT count(*) > 0 FROM pg_stats WHERE schemaname = 'public'";
        assert_eq!(one(&db.session(), statistics), "t", "{form}");
        // What was live is under another name, all of it.
        let old = Session::open(&cluster().url(&kept));
        assert_eq!(one(&old, "SELECT count(*) FROM public.later"), "1");
        assert_eq!(
            one(&old, "SELECT oid FROM pg_database WHERE datname = current_database()"),
            oid
        );
        drop(old);
        let safety = document["data"]["safety_backup"].as_str().unwrap();
        let safety = db.folder().join(safety);
        let args = ["backup", "verify", safety.to_str().unwrap()];
        markenmate(&args).run().assert_code(0);
        assert_eq!(databases(&db), std::slice::from_ref(&kept));

        // The printed way back is the way back.
        let human = markenmate(&[
            "rollback",
            "--restore",
            path.to_str().unwrap(),
            "--confirm",
            &db.name,
            "--no-safety-backup",
        ])
        .db(&db)
        .run()
        .assert_code(0);
        let undo = human.stdout.lines().find_map(|line| line.strip_prefix("undo: ")).unwrap();
        let bindir = program(cluster(), "psql").parent().unwrap().display().to_string();
        let mut shell = Command::new("/bin/sh");
        succeed(shell.args(["-c", &format!("PATH={bindir}:$PATH; {undo}")]));
        assert_eq!(digests(&db), rows, "{form}");
        drop_databases(&db);
    }
}

/// Without `PATH` it is the newest that is verified and of this very database.
#[test]
fn the_newest_verified_backup_is_found_by_itself() {
    let db = TestDb::baseline();
    let bare = ["rollback", "--restore", "--confirm", &db.name, "--format", "json"];
    let none = markenmate(&bare).db(&db).run().assert_code(4);
    assert!(
        none.stdout.contains("there is no verified backup of this database"),
        "{}",
        none.stdout
    );
    markenmate(&["backup"]).db(&db).run().assert_code(0);
    let unverified = markenmate(&bare).db(&db).run().assert_code(4);
    assert!(unverified.stdout.contains("is not verified"), "{}", unverified.stdout);
    let folder = db.folder().join("backups");
    let of_it = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let path = of_it.into_iter().find(|path| path.is_dir()).unwrap();
    markenmate(&["backup", "verify", path.to_str().unwrap()]).run().assert_code(0);
    let plan = markenmate(&["rollback", "--restore", "--dry-run", "--format", "json"]);
    let plan = plan.db(&db).run().assert_code(0).json();
    assert_eq!(plan["outcome"], "planned");
    assert!(plan["data"]["path"].as_str().unwrap().contains("markenmate-backup-"), "{plan:#}");
    assert_eq!(databases(&db), <[String; 0]>::default());
    let done = markenmate(&bare).db(&db).run().assert_code(0).json();
    assert_eq!(done["data"]["path"], plan["data"]["path"]);
    drop_databases(&db);
}

/// The guide's own backup: no manifest, restored where it is whole, refused where it is not.
#[test]
fn the_guides_own_backup_is_restored_where_it_is_whole() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$\nSELECT 'COPY x FROM stdin;\n\\.\n'\n$$",
    );
    let guide = db.folder().join("backup_pre_migration.sql");
    let mut dump = Command::new(program(cluster(), "pg_dump"));
    fs::write(&guide, succeed(dump.arg(&db.url))).unwrap();
    let (rows, whole) = (digests(&db), objects(&db));
    sql(&db, "TRUNCATE public.token_lending CASCADE");
    let now = digests(&db);

    let text = fs::read_to_string(&guide).unwrap();
    let copy = text.find("COPY public.token_lending").unwrap();
    let in_rows = copy + text[copy..].find("\n2\t").unwrap() + 6;
    let cuts = [10, copy - 100, copy + 20, in_rows, text.rfind("PostgreSQL").unwrap()];
    let cut = db.folder().join("cut.sql");
    for at in cuts {
        fs::write(&cut, &text[..at]).unwrap();
        let run = restore(&db, &cut, &[]).run().assert_code(4);
        assert!(run.stdout.contains("it is cut off"), "{at}: {}", run.stdout);
    }
    // A line that psql would take for a command to the shell.
    let touched = db.folder().join("touched");
    for evil in [format!("\\! touch {}", touched.display()), "\\connect postgres".to_owned()] {
        fs::write(
            &cut,
            text.replacen("SET statement_timeout", &format!("{evil}\nSET statement_timeout"), 1),
        )
        .unwrap();
        let run = restore(&db, &cut, &[]).run().assert_code(4);
        assert!(run.stdout.contains("a command to psql"), "{}", run.stdout);
    }
    // An error among its statements is the end, not one of many.
    fs::write(
        &cut,
        text.replacen("CREATE TABLE public.restaurant", "CREATE TABEL public.restaurant", 1),
    )
    .unwrap();
    let run = restore(&db, &cut, &["--no-safety-backup"]).run().assert_code(4);
    assert!(run.stdout.contains("CREATE TABEL"), "{}", run.stdout);
    assert!(!touched.exists());
    assert_eq!(digests(&db), now);
    assert_eq!(databases(&db), <[String; 0]>::default());

    let document = restore(&db, &guide, &[]).run().assert_code(0).json();
    assert_eq!(digests(&db), rows);
    assert_eq!(objects(&db), whole);
    assert!(document["findings"][0]["subject"] == "no manifest", "{document:#}");
    drop_databases(&db);
}

/// Nothing begins that cannot be agreed to; what was refused at the question is not done twice.
#[test]
fn consent_is_asked_when_all_is_restored_and_compared() {
    let db = TestDb::baseline();
    let path = backup(&db, "b.dump", &[]);
    let path = path.to_str().unwrap();
    for more in [&[][..], &["--yes"]] {
        let args = [&["rollback", "--restore", path], more].concat();
        let run = markenmate(&args).db(&db).run().assert_code(4);
        assert!(run.stderr.contains(&format!("--confirm {}", db.name)), "{}", run.stderr);
    }
    let wrong = ["rollback", "--restore", path, "--confirm", "production"];
    markenmate(&wrong).db(&db).run().assert_code(4);
    assert_eq!(databases(&db), <[String; 0]>::default());

    let mut terminal = on_a_terminal(markenmate(&["rollback", "--restore", path]).db(&db));
    terminal.expect(&format!("Type {} to go on", db.name)).send_line("no");
    let (said, code) = terminal.finish();
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("to go on with it: markenmate rollback --restore"), "{said}");
    let waiting = databases(&db);
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].contains("_restoring_"), "{waiting:?}");

    let mut terminal =
        on_a_terminal(markenmate(&["rollback", "--restore", path, "--no-safety-backup"]).db(&db));
    terminal.expect(&format!("Type {} to go on", db.name)).send_line(&db.name);
    let (said, code) = terminal.finish();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("skipped restore "), "{said}");
    assert!(databases(&db)[0].contains("_before_restore_"));
    drop_databases(&db);
}

/// What a restore has backed up of the database that it was to replace is no choice of anybody's: the
/// same command goes on with the same backup, and `prune` counts it for nothing.
#[test]
fn a_safety_backup_is_chosen_and_counted_by_nobody() {
    let db = TestDb::baseline();
    let folder = db.folder().join("backups");
    let run = |args: &[&str]| markenmate(args).db(&db).run();
    run(&["backup"]).assert_code(0);
    let made = || -> Vec<PathBuf> {
        let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    };
    let good = made().remove(0);
    run(&["backup", "verify", good.to_str().unwrap()]).assert_code(0);
    let rows = one(&db.session(), "SELECT count(*) FROM public.token_lending");
    sql(&db, "DELETE FROM public.token_lending");
    for _ in 0..2 {
        let mut terminal = on_a_terminal(markenmate(&["rollback", "--restore"]).db(&db));
        terminal.expect(&format!("Type {} to go on", db.name)).send_line("no");
        assert_eq!(terminal.finish().1, 4);
    }
    assert_eq!(made().len(), 3);
    run(&["backup", "prune", "backups", "--keep", "1", "--yes"]).assert_code(0);
    assert!(good.exists());
    let args = ["rollback", "--restore", "--confirm", &db.name, "--format", "json"];
    let done = run(&args).assert_code(0).json();
    assert!(
        done["data"]["path"]
            .as_str()
            .unwrap()
            .ends_with(good.file_name().unwrap().to_str().unwrap())
    );
    assert_eq!(one(&db.session(), "SELECT count(*) FROM public.token_lending"), rows);
    let listed = run(&["backup", "list", "backups"]).assert_code(0);
    assert!(listed.stdout.contains("made by a restore"), "{}", listed.stdout);
    drop_databases(&db);
}

/// What waits for its name may have been written to, be somebody else's, or be from before the live one's
/// grants were changed.
#[test]
fn what_waits_is_looked_at_again() {
    let db = TestDb::baseline();
    let path = backup(&db, "b.dump", &[]);
    let args = ["rollback", "--restore", path.to_str().unwrap(), "--no-safety-backup"];
    let decline = || {
        let mut terminal = on_a_terminal(markenmate(&args).db(&db));
        terminal.expect(&format!("Type {} to go on", db.name)).send_line("no");
        assert_eq!(terminal.finish().1, 4);
        databases(&db).remove(0)
    };
    let waiting = decline();
    // It is closed: nobody writes to it by mistake.
    let admin = Session::open(&cluster().url("postgres"));
    let may = format!("SELECT datallowconn FROM pg_database WHERE datname = '{waiting}'");
    assert_eq!(one(&admin, &may), "f");

    // Whoever has opened it: nobody knows what was written there.
    admin.sql(&format!("ALTER DATABASE \"{waiting}\" ALLOW_CONNECTIONS true"));
    Session::open(&cluster().url(&waiting)).sql("DELETE FROM public.token_lending");
    let other = decline();
    assert_ne!(other, waiting);
    let waiting = other;

    // One that is not the owner's, marked as if it were whole.
    let mark = one(
        &admin,
        &format!(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{waiting}'"
        ),
    );
    admin.sql(&format!("DROP DATABASE \"{waiting}\" WITH (FORCE)"));
    admin.sql(&format!("CREATE ROLE forger_{}", db.name));
    admin.sql(&format!("CREATE DATABASE \"{waiting}\" OWNER forger_{}", db.name));
    admin.sql(&format!("COMMENT ON DATABASE \"{waiting}\" IS '{mark}'"));
    admin.sql(&format!("ALTER DATABASE \"{waiting}\" ALLOW_CONNECTIONS false"));
    let forged = waiting;
    let mut terminal = on_a_terminal(markenmate(&args).db(&db));
    terminal.expect(&format!("Type {} to go on", db.name)).send_line("no");
    assert_eq!(terminal.finish().1, 4);
    // What is not ours is left alone.
    assert_eq!(databases(&db).len(), 2);
    admin.sql(&format!("DROP DATABASE \"{forged}\""));

    // The live one's grants are changed meanwhile: they are the ones that count.
    admin.sql(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", db.name));
    let granted = belongings(&db.name);
    let done = restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0).json();
    let steps = done["steps"].as_array().unwrap();
    assert!(
        steps.iter().any(|step| step["id"] == "restore" && step["status"] == "done"),
        "{done:#}"
    );
    assert_eq!(belongings(&db.name), granted);
    drop_databases(&db);
}

/// A dump whose tables would be somebody else's locks the application out of them.
#[test]
fn whoever_would_be_locked_out_is_named_beforehand() {
    let db = TestDb::baseline();
    let (app, other) = (format!("app_{}", db.name), format!("other_{}", db.name));
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN CREATEDB; CREATE ROLE {other}; {}; ALTER DATABASE {} OWNER TO {app}",
            owned_by(&app),
            db.name
        ),
    );
    let path = backup(&db, "b.sql", &[]);
    let text = fs::read_to_string(&path).unwrap();
    let lines = |wanted: &dyn Fn(&str) -> bool| -> String {
        text.lines().filter(|line| wanted(line)).flat_map(|line| [line, "\n"]).collect()
    };
    for (name, text, owner) in [
        (
            "other.sql",
            text.replace(&format!("OWNER TO {app};"), &format!("OWNER TO {other};")),
            &other,
        ),
        ("none.sql", lines(&|line| !line.contains(" OWNER TO ")), &"postgres".to_owned()),
    ] {
        let path = db.folder().join(name);
        fs::write(&path, text).unwrap();
        let run = restore(&db, &path, &["--no-safety-backup"]).run().assert_code(4);
        let said = format!("would belong to {owner}; those of {} belong to {app}", db.name);
        assert!(run.stdout.contains(&said), "{name}: {}", run.stdout);
    }
    // As whom they belong to it is the way back.
    let path = db.folder().join("none.sql");
    let run = restore(&db, &path, &["--no-safety-backup"]).env("DATABASE_URL", &db.url_as(&app));
    run.run().assert_code(0);
    // The server's own database is not taken for an application's.
    let args = ["rollback", "--restore", path.to_str().unwrap(), "--confirm", "postgres"];
    let run = markenmate(&args).url(&cluster().url("postgres")).run().assert_code(4);
    assert!(run.stderr.contains("postgres is the server's own"), "{}", run.stderr);
    drop_databases(&db);
}

/// A text is a literal also where the database's own setting reads backslashes: whoever owns it sets both.
#[test]
fn a_comment_is_no_statement() {
    let db = TestDb::baseline();
    sql(
        &db,
        &format!(
            "ALTER DATABASE {n} SET standard_conforming_strings = off;
             COMMENT ON DATABASE {n} IS E'\\\\''; CREATE ROLE injected_{n}; --'",
            n = db.name
        ),
    );
    // As the tool's own sessions may have it.
    sql(&db, "ALTER ROLE postgres IN DATABASE postgres SET standard_conforming_strings = off");
    let path = backup(&db, "b.dump", &[]);
    let before = belongings(&db.name);
    restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
    assert_eq!(belongings(&db.name), before);
    let roles = format!("SELECT count(*) FROM pg_roles WHERE rolname = 'injected_{}'", db.name);
    let admin = Session::open(&cluster().url("postgres"));
    assert_eq!(one(&admin, &roles), "0");
    admin.sql("ALTER ROLE postgres IN DATABASE postgres RESET standard_conforming_strings");
    drop_databases(&db);
}

#[test]
fn what_stands_in_the_way_is_said_before_anything_is_made() {
    let db = TestDb::baseline();
    let (gone, maker) = (format!("gone_{}", db.name), format!("maker_{}", db.name));
    sql(&db, &format!("CREATE ROLE {gone}; GRANT SELECT ON public.restaurant TO {gone}"));
    let path = backup(&db, "b.dump", &[]);
    sql(&db, &format!("DROP OWNED BY {gone}; DROP ROLE {gone}"));
    let before = digests(&db);
    let run = restore(&db, &path, &[]).run().assert_code(4).json();
    assert_eq!(
        run["findings"][0]["remedy"],
        format!("CREATE ROLE {gone};  -- LOGIN where it is the application's")
    );
    sql(&db, &format!("CREATE ROLE {gone}"));

    // Neither an owner nor a maker of databases.
    sql(&db, &format!("CREATE ROLE {maker} LOGIN"));
    let args = [
        "rollback",
        "--restore",
        path.to_str().unwrap(),
        "--confirm",
        &db.name,
        "--format",
        "json",
    ];
    let run = markenmate(&args).db(&db).env("DATABASE_URL", &db.url_as(&maker)).run();
    let run = run.assert_code(4).json();
    let details = run["findings"].to_string();
    assert!(details.contains("may not make databases"), "{details}");
    assert!(details.contains("does not own database"), "{details}");

    // A damaged one, and one whose manifest was taken away.
    let sound = fs::read(&path).unwrap();
    let mut harmed = sound.clone();
    let middle = harmed.len() / 2;
    harmed[middle] ^= 4;
    fs::write(&path, &harmed).unwrap();
    let run = restore(&db, &path, &[]).run().assert_code(4);
    assert!(run.stdout.contains("its SHA-256 differs"), "{}", run.stdout);
    fs::write(&path, &sound).unwrap();
    let alone = db.folder().join("alone.dump");
    fs::copy(&path, &alone).unwrap();
    let run = restore(&db, &alone, &[]).run().assert_code(4);
    assert!(run.stdout.contains("has no manifest"), "{}", run.stdout);
    let run = restore(&db, Path::new("nowhere.dump"), &[]).run().assert_code(4);
    assert!(run.stdout.contains("there is no nowhere.dump"), "{}", run.stdout);

    // An extension that this server does not have.
    let sql_file = db.folder().join("e.sql");
    fs::write(
        &sql_file,
        "CREATE EXTENSION IF NOT EXISTS nobody_has_this WITH SCHEMA public;\n-- PostgreSQL database dump complete\n",
    )
    .unwrap();
    let run = restore(&db, &sql_file, &[]).run().assert_code(4);
    assert!(run.stdout.contains("nobody_has_this is in the backup"), "{}", run.stdout);

    // Names that are no names: each is looked for as it stands.
    fs::write(
        &sql_file,
        "GRANT SELECT ON TABLE public.t TO \"%EXTENSIONS%\";\nGRANT SELECT ON TABLE public.t TO \"%WANTED%\";\n\
         CREATE EXTENSION \"'),('role', 'x')) SELECT 1; DROP SCHEMA public CASCADE; --\";\n\
         -- PostgreSQL database dump complete\n",
    )
    .unwrap();
    let run = restore(&db, &sql_file, &[]).run().assert_code(4);
    for name in ["%EXTENSIONS%", "%WANTED%", "DROP SCHEMA public CASCADE; -- is in the backup"] {
        assert!(run.stdout.contains(name), "{name}: {}", run.stdout);
    }
    assert_eq!(digests(&db), before);
    assert_eq!(databases(&db), <[String; 0]>::default());
}

/// Two subscriptions of one name would share a slot on the publisher, and a database that has one
/// cannot be dropped.
#[test]
fn subscriptions_are_not_restored_and_said() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE SUBSCRIPTION mm_sub CONNECTION 'host=nowhere.invalid password=secret'
         PUBLICATION p WITH (connect = false)",
    );
    for name in ["s.dump", "s.sql"] {
        let path = backup(&db, name, &[]);
        let run = restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
        assert!(run.stdout.contains("subscription(s) mm_sub go on"), "{name}: {}", run.stdout);
        assert!(!run.stdout.contains("secret"), "{name}: {}", run.stdout);
        let here = "SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
                     WHERE d.datname = current_database()";
        assert_eq!(one(&db.session(), here), "0", "{name}");
        let kept = run.json()["data"]["kept_as"].as_str().unwrap().to_owned();
        let old = Session::open(&cluster().url(&kept));
        old.sql("ALTER SUBSCRIPTION mm_sub SET (slot_name = NONE)");
        old.sql("DROP SUBSCRIPTION mm_sub");
        sql(
            &db,
            "CREATE SUBSCRIPTION mm_sub CONNECTION 'host=nowhere.invalid password=secret'
             PUBLICATION p WITH (connect = false)",
        );
    }
    sql(&db, "ALTER SUBSCRIPTION mm_sub SET (slot_name = NONE); DROP SUBSCRIPTION mm_sub");
    drop_databases(&db);
}

/// Rows without parents: known since the backup, said before the restore.
#[test]
fn a_restore_that_would_lose_keys_is_refused_beforehand() {
    let db = TestDb::baseline();
    sql(
        &db,
        "SET session_replication_role = replica;
         INSERT INTO public.session (id, expires_at, token, created_at, updated_at, user_id)
         VALUES ('s', now(), 't', now(), now(), 'nobody')",
    );
    let path = backup(&db, "o.dump", &[]);
    let run = restore(&db, &path, &[]).run().assert_code(4).json();
    assert_eq!(run["findings"][0]["subject"], "public.session.user_id", "{run:#}");
    // Without counts nobody looked; the restore itself does.
    let path = backup(&db, "n.dump", &["--checksums", "none"]);
    let run = restore(&db, &path, &[]).run().assert_code(4);
    assert!(run.stdout.contains("violates foreign key constraint"), "{}", run.stdout);
    assert_eq!(databases(&db), <[String; 0]>::default());
}

/// The database that was restored lacks what the manifest promises.
#[test]
fn what_does_not_compare_never_gets_the_name() {
    let db = TestDb::baseline();
    let path = backup(&db, "lost.dump", &[]);
    let file = format!("{}.manifest.json", path.display());
    let mut lost = Manifest::open(&fs::read(&file).unwrap()).unwrap();
    lost.tables[1].rows = Some(7);
    fs::write(&file, lost.seal()).unwrap();
    let before = digests(&db);
    let run = restore(&db, &path, &["--no-safety-backup"]).run().assert_code(4).json();
    assert_eq!(run["findings"][0]["id"], "restored", "{run:#}");
    assert_eq!(digests(&db), before);
    assert_eq!(databases(&db), <[String; 0]>::default());
}

/// Disaster recovery looks like this: said, and done.
#[test]
fn a_backup_of_another_database_is_a_line_in_the_plan() {
    let (db, other) = (TestDb::baseline(), TestDb::empty());
    let path = backup(&db, "b", &[]);
    let plan = markenmate(&[
        "rollback",
        "--restore",
        path.to_str().unwrap(),
        "--dry-run",
        "--format",
        "json",
    ]);
    let plan = plan.db(&other).run().assert_code(0).json();
    assert_eq!(plan["findings"][0]["subject"], "provenance", "{plan:#}");
    restore(&other, &path, &[]).run().assert_code(0);
    sql(&db, "DELETE FROM public.db_backup WHERE description LIKE 'markenmate%'");
    assert_eq!(digests(&other), digests(&db));
    drop_databases(&other);
}

/// While an application reconnects a hundred times a second it sees either database, whole.
#[test]
fn an_application_that_reconnects_sees_one_database_or_the_other() {
    let db = TestDb::baseline();
    let path = backup(&db, "b", &[]);
    sql(&db, "CREATE TABLE public.mark (id int)");
    let stop = Arc::new(AtomicBool::new(false));
    let (before, after) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (url, stop) = (db.url.clone(), Arc::clone(&stop));
            let (before, after) = (Arc::clone(&before), Arc::clone(&after));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    while !stop.load(Ordering::Relaxed) {
                        let opened = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
                        if let Ok((client, connection)) = opened {
                            tokio::spawn(connection);
                            let sql = "SELECT (SELECT count(*) FROM public.\"user\"), to_regclass('public.mark')::text";
                            if let Ok(row) = client.query_one(sql, &[]).await {
                                assert!(row.get::<_, i64>(0) > 0);
                                let seen = row.get::<_, Option<String>>(1);
                                if seen.is_some() { &before } else { &after }.fetch_add(1, Ordering::Relaxed);
                            }
                            // It stays for a while: it is to be sent away.
                            let _ = client.simple_query("SELECT pg_sleep(0.02)").await;
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                });
            })
        })
        .collect();
    let document = restore(&db, &path, &["--max-wait", "20s"]).run().assert_code(0).json();
    assert!(wait_until(Duration::from_secs(10), || after.load(Ordering::Relaxed) > 40));
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    assert!(before.load(Ordering::Relaxed) > 10);
    tell(&format!(
        "swap under 4 reconnecting clients: new connections waited for {} ms at most",
        document["data"]["held_ms"]
    ));
    drop_databases(&db);
}

/// A session that is not ours to end is named at once, and nobody waits for nothing.
#[test]
fn whoever_may_not_be_sent_away_is_named() {
    let db = TestDb::baseline();
    let owner = format!("owner_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {owner} LOGIN CREATEDB; {}; ALTER DATABASE {} OWNER TO {owner}",
            owned_by(&owner),
            db.name
        ),
    );
    let path = backup(&db, "b.dump", &[]);
    let admin = db.session();
    let pid = one(&admin, "SELECT pg_backend_pid()");
    let args = [
        "rollback",
        "--restore",
        path.to_str().unwrap(),
        "--confirm",
        &db.name,
        "--max-wait",
        "1s",
    ];
    let run = || markenmate(&args).db(&db).env("DATABASE_URL", &db.url_as(&owner)).run();
    let busy = run().assert_code(7);
    assert!(busy.stderr.contains(&format!("pid {pid}")), "{}", busy.stderr);
    assert!(
        busy.stderr.contains("to go on with it: markenmate rollback --restore"),
        "{}",
        busy.stderr
    );
    // Once it is gone the same command only swaps.
    drop(admin);
    run().assert_code(0);
    drop_databases(&db);
}

/// One restore of a database at a time; a prepared transaction is in the way.
#[test]
fn one_at_a_time() {
    let db = TestDb::baseline();
    let path = backup(&db, "b.dump", &[]);
    let oid = one(&db.session(), "SELECT oid FROM pg_database WHERE datname = current_database()");
    let other = Session::open(&cluster().url("postgres"));
    let key = i32::from_be_bytes(*b"rest");
    other.sql(&format!("BEGIN; SELECT pg_advisory_xact_lock({key}, {oid})"));
    let run = restore(&db, &path, &["--no-safety-backup"]).run().assert_code(7);
    assert!(run.stdout.contains("another restore of database"), "{}", run.stdout);
    other.sql("ROLLBACK");
    let server = start(&[("max_prepared_transactions", "2")]);
    let url = crate::support::database_on(&server, "live", &["V1__baseline.sql"]);
    Session::open(&url).sql("BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'two'");
    let args = ["rollback", "--restore", path.to_str().unwrap(), "--confirm", "live"];
    let run = markenmate(&args).url(&url).run().assert_code(4);
    assert!(run.stderr.contains("prepared transactions"), "{}", run.stderr);
}

/// Killed at any moment: the live database is what it was or what was restored, and the next run
/// finds its way.
#[test]
fn a_killed_restore_harms_nothing_and_the_next_one_succeeds() {
    let db = TestDb::baseline();
    let path = backup(&db, "b", &[]);
    sql(&db, "CREATE TABLE public.mark (id int)");
    let first = restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
    drop_databases(&db);
    let kills = figure("KILLS_OF_RESTORES", 8);
    let (mut swapped, mut unharmed) = (0, 0);
    let mark = "SELECT to_regclass('public.mark') IS NOT NULL";
    for n in 0..kills {
        sql(&db, "CREATE TABLE IF NOT EXISTS public.mark (id int)");
        let oid = "SELECT oid FROM pg_database WHERE datname = current_database()";
        let before = (digests(&db), one(&db.session(), oid));
        let running = restore(&db, &path, &["--no-safety-backup"]).spawn();
        std::thread::sleep(Duration::from_millis(
            // To beyond the swap: not every run is as slow as the first.
            first.millis * u64::from(n + 1) * 6 / u64::from(kills + 1) / 5,
        ));
        running.signal("KILL");
        drop(running);
        match one(&db.session(), mark).as_str() {
            "t" => {
                assert_eq!((digests(&db), one(&db.session(), oid)), before);
                unharmed += 1;
            }
            _ => swapped += 1,
        }
        sql(&db, "CREATE TABLE IF NOT EXISTS public.mark (id int)");
        restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
        assert_eq!(one(&db.session(), mark), "f");
        let left: Vec<_> =
            databases(&db).into_iter().filter(|n| n.contains("_restoring_")).collect();
        assert_eq!(left, <[String; 0]>::default());
        drop_databases(&db);
    }
    tell(&format!(
        "{kills} kills of restores: {unharmed} left the live database as it was, {swapped} came after the swap"
    ));
}

/// A signal is answered, and what was begun is taken away.
#[test]
fn an_interrupted_restore_takes_its_database_away() {
    let db = TestDb::baseline();
    sql(
        &db,
        "CREATE FUNCTION public.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END';
         CREATE TABLE public.slowed (id int); CREATE INDEX ON public.slowed (public.slow(id));
         ALTER FUNCTION public.slow(int) COST 1",
    );
    sql(&db, "CREATE OR REPLACE FUNCTION public.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
              INSERT INTO public.slowed SELECT generate_series(1, 30);
              CREATE OR REPLACE FUNCTION public.slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN $1; END'");
    for name in ["b", "b.sql"] {
        let path = backup(&db, name, &[]);
        let running = restore(&db, &path, &["--no-safety-backup"]).spawn();
        running.wait_for_stderr("restore ");
        assert!(wait_until(Duration::from_secs(20), || !databases(&db).is_empty()));
        std::thread::sleep(Duration::from_millis(700));
        running.signal("INT");
        let run = running.wait().assert_code(130);
        assert!(run.millis < 15_000, "{}", run.millis);
        assert_eq!(databases(&db), <[String; 0]>::default(), "{name}: {}", run.stderr);
    }
}

/// pg_cron can be in one database only, the live one: what belongs to it is left out and reported.
#[test]
fn pg_cron_does_not_stop_a_restore() {
    let server = crate::support::start_with_cron();
    let url = crate::support::database_on(&server, "live", &["V1__baseline.sql"]);
    let live = Session::open(&url);
    live.sql("CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO pg_monitor; GRANT SELECT ON cron.job TO pg_monitor");
    live.sql("SELECT cron.schedule('nightly', '0 3 * * *', 'SELECT 1')");
    live.sql("CREATE TABLE public.cron (id int); INSERT INTO public.cron VALUES (1)");
    drop(live);
    let folder = tempfile::TempDir::new().unwrap();
    let bindir = server.bindir().to_str().unwrap().to_owned();
    let run = |args: &[&str]| {
        markenmate(args).url(&url).cwd(folder.path()).env("MARKENMATE_PG_BINDIR", &bindir).run()
    };
    let kept = |name: &str| {
        run(&["backup", "-o", name]).assert_code(0);
        // Nor does it stop a restore test.
        run(&["backup", "verify", name, "--restore-test"]).assert_code(0);
        let args = [
            "rollback",
            "--restore",
            name,
            "--confirm",
            "live",
            "--format",
            "json",
            "--no-safety-backup",
        ];
        let document = run(&args).assert_code(0).json();
        let findings = document["findings"].to_string();
        assert!(findings.contains("pg_cron's own were left out"), "{findings}");
        let live = Session::open(&url);
        assert_eq!(one(&live, "SELECT count(*) FROM public.cron"), "1");
        assert_eq!(one(&live, "SELECT to_regnamespace('cron')::text"), "");
        document["data"]["kept_as"].as_str().unwrap().to_owned()
    };
    let old = kept("b.dump");
    let jobs = "SELECT jobname FROM cron.job";
    assert_eq!(one(&Session::open(&server.url(&old)), jobs), "nightly");
    // As the report says: the extension anew, in the database that has the name.
    Session::open(&url)
        .sql("CREATE EXTENSION pg_cron; SELECT cron.schedule('nightly', '0 3 * * *', 'SELECT 1')");
    let old = kept("b.sql");
    assert_eq!(one(&Session::open(&server.url(&old)), jobs), "nightly");

    // Nor is it missed where it is known from the file alone.
    Session::open(&url)
        .sql("CREATE EXTENSION pg_cron; SELECT cron.schedule('nightly', '0 3 * * *', 'SELECT 1')");
    let bare = folder.path().join("bare.sql");
    for more in [&[][..], &["--quote-all-identifiers"]] {
        let dump = succeed(Command::new(server.bindir().join("pg_dump")).args(more).arg(&url));
        fs::write(&bare, dump).unwrap();
        let bare = bare.to_str().unwrap();
        let args = ["rollback", "--restore", bare, "--confirm", "live", "--no-safety-backup"];
        run(&args).assert_code(0);
        Session::open(&url).sql(
            "CREATE EXTENSION pg_cron; SELECT cron.schedule('nightly', '0 3 * * *', 'SELECT 1')",
        );
    }
}

/// A list of grants that is empty lets nobody in; none at all lets everybody in.
#[test]
fn a_database_that_nobody_may_enter_stays_so() {
    let db = TestDb::baseline();
    let revoke = "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', current_database(), current_user); END $$";
    sql(&db, revoke);
    let list = || belongings(&db.name);
    let before = list();
    assert!(before.contains("| {} |"), "{before}");
    let path = backup(&db, "b.dump", &[]);
    restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
    assert_eq!(list(), before);
    drop_databases(&db);
}

/// What a dump does not carry, and what the server prints otherwise afterwards, is no difference.
#[test]
fn what_a_restore_makes_otherwise_does_not_stop_it() {
    let db = TestDb::baseline();
    let other = format!("other_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {other};
             CREATE TABLE public.odd (s varchar(10) CHECK (s IN ('a', 'b')), n int,
                                      g bool GENERATED ALWAYS AS (s IN ('a', 'b')) STORED,
                                      l text[] DEFAULT ARRAY['a'::varchar, 'b'::varchar]::text[]);
             CREATE INDEX odd_partial ON public.odd (n) WHERE s IN ('a', 'b');
             CREATE INDEX odd_expression ON public.odd ((s IN ('a', 'b')));
             CREATE INDEX odd_invalid ON public.odd (n);
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.odd_invalid'::regclass;
             INSERT INTO public.odd VALUES ('a', 1);
             ALTER TABLE public.odd OWNER TO {other};
             ALTER DATABASE {} SET quote_all_identifiers = on",
            db.name
        ),
    );
    for name in ["b.dump", "b.sql"] {
        let path = backup(&db, name, &["--checksums", "full"]);
        let args = ["backup", "verify", path.to_str().unwrap(), "--restore-test"];
        markenmate(&args).run().assert_code(0);
        restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
        let owner = "SELECT relowner::regrole FROM pg_class WHERE oid = 'public.odd'::regclass";
        assert_eq!(one(&db.session(), owner).trim_matches('"'), other, "{name}");
        drop_databases(&db);
    }
}

/// A key that is NOT VALID, or is not there, is made again over any rows.
#[test]
fn rows_without_parents_stop_a_restore_only_where_a_key_holds() {
    let db = TestDb::baseline();
    let key = one(
        &db.session(),
        "SELECT string_agg(format('ALTER TABLE public.session DROP CONSTRAINT %I', conname), ';') FROM pg_constraint
          WHERE conrelid = 'public.session'::regclass AND contype = 'f'",
    );
    sql(
        &db,
        &format!(
            "{key};
             INSERT INTO public.session (id, expires_at, token, created_at, updated_at, user_id)
             VALUES ('s', now(), 't', now(), now(), 'nobody')"
        ),
    );
    let key = "ALTER TABLE public.session ADD CONSTRAINT again FOREIGN KEY (user_id) REFERENCES public.\"user\" (id) NOT VALID";
    for (name, first) in [("gone.dump", "SELECT 1"), ("loose.dump", key)] {
        sql(&db, first);
        let args = ["backup", "-o", name, "--format", "json"];
        let made = markenmate(&args).db(&db).run().assert_code(0).json();
        let title = "A restore of this backup brings back rows whose parent is gone";
        assert_eq!(made["findings"][0]["title"], title, "{made:#}");
        restore(&db, &db.folder().join(name), &["--no-safety-backup"]).run().assert_code(0);
        let rows = "SELECT count(*) FROM public.session WHERE user_id = 'nobody'";
        assert_eq!(one(&db.session(), rows), "1", "{name}");
        drop_databases(&db);
    }
}

/// Complete, and nothing in it: that is no way back.
#[test]
fn a_plain_file_without_tables_or_rows_is_refused() {
    let db = TestDb::baseline();
    let path = db.folder().join("empty.sql");
    let before = digests(&db);
    fs::write(&path, "-- PostgreSQL database dump complete\n").unwrap();
    let run = restore(&db, &path, &[]).run().assert_code(4);
    assert!(run.stdout.contains("it makes no table at all"), "{}", run.stdout);
    for (option, why) in [("-a", "it makes no table at all"), ("-s", "it holds not one row")] {
        let mut dump = Command::new(program(cluster(), "pg_dump"));
        fs::write(&path, succeed(dump.arg(option).arg(&db.url))).unwrap();
        let run = restore(&db, &path, &[]).run().assert_code(4);
        assert!(run.stdout.contains(why), "{option}: {}", run.stdout);
    }
    assert_eq!(digests(&db), before);
    assert_eq!(databases(&db), <[String; 0]>::default());
    // Where nobody is lost by it, and where there is no such table.
    let (bare, empty) = (TestDb::empty(), TestDb::baseline());
    sql(&empty, "TRUNCATE public.\"user\" CASCADE");
    for other in [&bare, &empty] {
        restore(other, &path, &["--no-safety-backup"]).run().assert_code(0);
        drop_databases(other);
    }
}

/// pg_dump's other ways to write rows and names.
#[test]
fn plain_dumps_are_compared_however_they_are_written() {
    let db = TestDb::baseline();
    let rows = digests(&db);
    let path = db.folder().join("b.sql");
    for option in
        ["--quote-all-identifiers", "--inserts", "--column-inserts", "--rows-per-insert=3"]
    {
        let mut dump = Command::new(program(cluster(), "pg_dump"));
        let text = succeed(dump.arg(option).arg(&db.url));
        fs::write(&path, &text).unwrap();
        sql(&db, "DELETE FROM public.token_lending");
        restore(&db, &path, &["--no-safety-backup"]).run().assert_code(0);
        assert_eq!(digests(&db), rows, "{option}");
        drop_databases(&db);
    }
}
