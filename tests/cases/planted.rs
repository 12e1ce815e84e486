//! What others have put in the way of a backup or its proof: code that would run as us, archives that are
//! gone in all but name, dates to come, odd names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use markenmate::backup::manifest::{Manifest, hex};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::own_server::Standby;
use crate::support::state::{one, owned_by};
use crate::support::{Session, TestDb, cluster, database_on, markenmate, sql, start};

/// A role that owns the application's tables and is no superuser.
fn owner(db: &TestDb) -> String {
    let role = format!("app_{}", db.name);
    sql(
        db,
        &format!(
            "CREATE ROLE {role} LOGIN; {}; ALTER DATABASE {} OWNER TO {role}",
            owned_by(&role),
            db.name
        ),
    );
    role
}

fn is_superuser(db: &TestDb, role: &str) -> String {
    one(&db.session(), &format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{role}'"))
}

/// A superuser's backup runs nothing of the owner's: no trigger, default, check, rule or index of the
/// table in which it is listed.
#[test]
fn listing_a_backup_runs_nobodys_code() {
    let traps = [
        "CREATE TRIGGER trap BEFORE INSERT ON public.db_backup FOR EACH ROW EXECUTE FUNCTION public.trap()",
        "ALTER TABLE public.db_backup ALTER COLUMN created_at SET DEFAULT public.trap_now()",
        "ALTER TABLE public.db_backup ADD CHECK (public.trap_check(filename))",
        "CREATE INDEX ON public.db_backup (public.trap_text(filename))",
        "CREATE INDEX ON public.\"user\" (id) WHERE public.trap_check(id)",
        "ALTER TABLE public.db_backup ALTER COLUMN description SET DEFAULT query_to_xml('SELECT public.trap_now()', true, true, '')::text",
    ];
    for trap in traps {
        let db = TestDb::baseline();
        let role = owner(&db);
        let body = format!(
            "BEGIN BEGIN RESET ROLE; EXECUTE 'ALTER ROLE {role} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;"
        );
        let app = Session::open(&db.url_as(&role));
        app.sql(&format!(
            "CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql AS $$ {body} RETURN NEW; END $$;
             CREATE FUNCTION public.trap_now() RETURNS timestamptz LANGUAGE plpgsql AS $$ {body} RETURN now(); END $$;
             CREATE FUNCTION public.trap_check(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ {body} RETURN true; END $$;
             CREATE FUNCTION public.trap_text(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ {body} RETURN $1; END $$;
             {trap}"
        ));
        let run = markenmate(&["backup", "-o", "b.dump"]).db(&db).run().assert_code(0);
        assert!(
            run.stdout.contains("carries code that is not the app's"),
            "{trap}: {}",
            run.stdout
        );
        assert_eq!(is_superuser(&db, &role), "f", "{trap}");
    }
}

/// A folder that the server's account may write to.
fn open_folder() -> TempDir {
    let folder = TempDir::new_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    folder
}

/// A body of PL/pgSQL that leaves a file where it runs as a superuser, and ends as if nothing were.
fn leaves(folder: &TempDir, name: &str) -> String {
    format!(
        "BEGIN BEGIN COPY (SELECT 1) TO PROGRAM 'touch {}'; EXCEPTION WHEN OTHERS THEN NULL; END;",
        folder.path().join(name).display()
    )
}

fn left(folder: &TempDir) -> Vec<std::ffi::OsString> {
    fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// A cast of the owner's is no part of a row's content, and a check does not run as anybody who could
/// harm this machine.
#[test]
fn digests_and_restore_tests_run_nothing_with_rights() {
    let db = TestDb::baseline();
    let role = owner(&db);
    let folder = open_folder();
    let program = |name: &str| leaves(&folder, name);
    Session::open(&db.url_as(&role)).sql(&format!(
        "CREATE TYPE public.word AS ENUM ('a', 'b');
         CREATE FUNCTION public.cast_word(public.word) RETURNS text LANGUAGE plpgsql AS $$ {} RETURN 'same'; END $$;
         CREATE CAST (public.word AS text) WITH FUNCTION public.cast_word(public.word);
         CREATE TABLE public.words (w public.word, n int);
         INSERT INTO public.words VALUES ('a', 1);
         CREATE FUNCTION public.check_n(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ {} RETURN true; END $$;
         CREATE FUNCTION public.index_n(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ {} RETURN $1; END $$;
         ALTER TABLE public.words ADD CHECK (public.check_n(n));
         CREATE INDEX ON public.words (public.index_n(n))",
        program("cast"),
        program("check"),
        program("index"),
    ));
    for name in ["b.dump", "b", "b.sql"] {
        markenmate(&["backup", "-o", name, "--restore-test"]).db(&db).run().assert_code(0);
    }
    assert!(left(&folder).is_empty(), "{:?}", left(&folder));
    // And the content counts, whatever the cast says.
    let checksum = |name: &str| {
        let text = fs::read(db.folder().join(format!("{name}.manifest.json"))).unwrap();
        let manifest = Manifest::open(&text).unwrap();
        let words = manifest.tables.iter().find(|table| table.name == "public.words").unwrap();
        words.checksum.clone().unwrap()
    };
    sql(&db, "UPDATE public.words SET w = 'b'");
    markenmate(&["backup", "-o", "c.dump", "--checksums", "full"]).db(&db).run().assert_code(0);
    assert_ne!(checksum("b.dump"), checksum("c.dump"));
}

/// To make an object is to run its owner's code: the server computes what is constant in an expression
/// while it makes the table.
#[test]
fn a_restore_test_makes_tables_without_rights() {
    let db = TestDb::baseline();
    let role = owner(&db);
    let folder = open_folder();
    Session::open(&db.url_as(&role)).sql(&format!(
        "CREATE FUNCTION public.v() RETURNS int VOLATILE LANGUAGE plpgsql AS $$ {} RETURN 1; END $$;
         CREATE FUNCTION public.f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.v(); END $$;
         CREATE TABLE public.p (a int) PARTITION BY RANGE ((public.f(1) + a))",
        leaves(&folder, "partition"),
    ));
    for name in ["b.dump", "b", "b.sql"] {
        markenmate(&["backup", "-o", name, "--restore-test"]).db(&db).run().assert_code(0);
        assert!(left(&folder).is_empty(), "{name}: {:?}", left(&folder));
    }
}

/// What of a plain file runs code at once: pg_dump does not write it so, whoever forges a file does.
#[test]
fn a_plain_file_runs_nothing_with_rights() {
    let db = TestDb::baseline();
    let role = owner(&db);
    let folder = open_folder();
    Session::open(&db.url_as(&role)).sql(&format!(
        "CREATE FUNCTION public.view() RETURNS text LANGUAGE plpgsql AS $$ {} RETURN 'a'; END $$;
         CREATE FUNCTION public.setting() RETURNS text LANGUAGE plpgsql AS $$ {} RETURN 'a'; END $$;
         CREATE MATERIALIZED VIEW public.m AS SELECT public.view() AS a",
        leaves(&folder, "view"),
        leaves(&folder, "setting"),
    ));
    markenmate(&["backup", "-o", "b.sql"]).db(&db).run().assert_code(0);
    let path = db.folder().join("b.sql");
    let view = "CREATE MATERIALIZED VIEW public.m AS";
    let sound = fs::read_to_string(&path).unwrap();
    let setting = "SELECT pg_catalog.set_config('a.b', public.setting(), false);";
    let file = db.folder().join("b.sql.manifest.json");
    let mut manifest = Manifest::open(&fs::read(&file).unwrap()).unwrap();
    for (forged, code) in [
        (sound.replace("WITH NO DATA;", "WITH DATA;"), 0),
        (sound.replace(view, &format!("{setting}\n\n{view}")), 4),
    ] {
        assert_ne!(forged, sound);
        fs::write(&path, &forged).unwrap();
        manifest.files[0].bytes = forged.len() as u64;
        manifest.files[0].sha256 = hex(&Sha256::digest(&forged));
        fs::write(&file, manifest.clone().seal()).unwrap();
        let run = markenmate(&["backup", "verify", "b.sql", "--restore-test"]).db(&db).run();
        run.assert_code(code);
        assert!(left(&folder).is_empty(), "{:?}", left(&folder));
    }
}

/// What only a superuser may make, where that is an extension, and what no role without rights could
/// read: a restore test is not stopped by them.
#[test]
fn a_restore_test_makes_extensions_and_fills_what_is_guarded() {
    let db = TestDb::baseline();
    let role = owner(&db);
    sql(
        &db,
        &format!(
            "CREATE SCHEMA \"for extensions\" AUTHORIZATION {role};
             CREATE EXTENSION pageinspect SCHEMA \"for extensions\";
             COMMENT ON EXTENSION pageinspect IS 'ours'; COMMENT ON SCHEMA public IS 'ours';
             CREATE EXTENSION hstore;
             CREATE TABLE public.guarded (a int, h public.hstore);
             INSERT INTO public.guarded VALUES (1, 'a=>1');
             ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY none ON public.guarded TO {role} USING (false);
             ALTER TABLE public.guarded OWNER TO {role};
             ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT SELECT ON TABLES TO PUBLIC;
             ALTER TABLE public.restaurant ALTER COLUMN name SET DEFAULT 'a OWNER TO b'"
        ),
    );
    for name in ["b.dump", "b", "b.sql"] {
        markenmate(&["backup", "-o", name, "--restore-test"]).db(&db).run().assert_code(0);
    }
    // And what it cannot make, it names.
    sql(&db, "CREATE FUNCTION public.c(int) RETURNS int LANGUAGE internal AS 'int4abs'");
    for name in ["c.dump", "c.sql"] {
        let run = markenmate(&["backup", "-o", name, "--restore-test"]).db(&db).run();
        let run = run.assert_code(4);
        assert!(run.stderr.contains("permission denied for language internal"), "{}", run.stderr);
        assert!(run.stderr.contains("without a superuser's rights"), "{}", run.stderr);
    }
}

/// The gate and `prune` rely on what is there, not on what once was verified.
#[test]
fn an_archive_that_is_gone_in_all_but_name_is_no_backup() {
    let db = TestDb::baseline();
    let run = |args: &[&str]| markenmate(args).db(&db).run();
    let made = |name: &str| {
        run(&["backup", "-o", name]).assert_code(0);
        run(&["backup", "verify", name]).assert_code(0);
    };
    fs::create_dir(db.folder().join("g")).unwrap();
    made("g/1.dump");
    let gate = ["migrate", "--check", "--require-backup", "24h,g"];
    run(&gate).assert_code(3);
    let path = db.folder().join("g/1.dump");
    let sound = fs::read(&path).unwrap();
    fs::write(&path, "").unwrap();
    let gone = run(&gate).assert_code(4);
    assert!(gone.stderr.contains("longer or shorter"), "{}", gone.stderr);
    // As long as it was, with other bytes.
    let mut harmed = sound.clone();
    harmed[100] ^= 1;
    fs::write(&path, &harmed).unwrap();
    let changed = run(&gate).assert_code(4);
    assert!(changed.stderr.contains("is not what was written"), "{}", changed.stderr);
    fs::write(&path, &sound).unwrap();
    // The newer one is harmed: the older one counts, for the gate and for prune.
    made("g/2");
    fs::remove_file(db.folder().join("g/2/toc.dat")).unwrap();
    run(&gate).assert_code(3);
    run(&["backup", "prune", "g", "--keep", "1", "--yes"]).assert_code(0);
    assert!(path.exists());
    made("g/3.dump");
    let third = db.folder().join("g/3.dump");
    let mut harmed = fs::read(&third).unwrap();
    harmed[100] ^= 1;
    fs::write(&third, &harmed).unwrap();
    run(&["backup", "prune", "g", "--keep", "1", "--yes"]).assert_code(0);
    assert!(path.exists());
}

/// A date to come is not young.
#[test]
fn a_backup_of_tomorrow_opens_no_gate() {
    let db = TestDb::baseline();
    markenmate(&["backup", "-o", "b.dump"]).db(&db).run().assert_code(0);
    let file = db.folder().join("b.dump.manifest.json");
    let mut manifest = Manifest::open(&fs::read(&file).unwrap()).unwrap();
    manifest.snapshot_at += chrono::Duration::days(1);
    fs::write(&file, manifest.seal()).unwrap();
    markenmate(&["backup", "verify", "b.dump"]).db(&db).run().assert_code(0);
    let gate = ["migrate", "--check", "--require-backup", "24h,b.dump"];
    let run = markenmate(&gate).db(&db).run().assert_code(4);
    assert!(run.stderr.contains("which is still to come"), "{}", run.stderr);
    // Nor does it make older ones old.
    markenmate(&["backup", "-o", "a.dump"]).db(&db).run().assert_code(0);
    markenmate(&["backup", "verify", "a.dump"]).db(&db).run().assert_code(0);
    markenmate(&["backup", "prune", ".", "--keep", "1", "--yes"]).db(&db).run().assert_code(0);
    assert!(db.folder().join("a.dump").exists());
}

/// Names in another encoding, a name that looks like an option, a log behind stdout, a linked folder.
#[test]
fn odd_names_and_places_are_no_trouble() {
    let server = start(&[]);
    let url = database_on(&server, "postgres_", &[]);
    Session::open(&url).sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'");
    let url = server.url("latin");
    Session::open(&url).sql(
        "CREATE TABLE \"größe\" (\"größe\" text); CREATE TABLE \"ähre\" (a int); CREATE TABLE \"übel\" (a int);
         INSERT INTO \"größe\" VALUES ('ü')",
    );
    let folder = tempfile::TempDir::new().unwrap();
    let run = |args: &[&str]| markenmate(args).url(&url).cwd(folder.path()).run();
    // All of it belongs to the server's first superuser, of whom no list of dependencies knows.
    for name in ["a.dump", "a", "-x.dump", "p.sql"] {
        let output = format!("--output={name}");
        run(&["backup", &output, "--restore-test"]).assert_code(0);
    }
    run(&["rollback", "--restore", "p.sql", "--no-safety-backup", "--confirm", "latin"])
        .assert_code(0);
    let restored = Session::open(&url).sql(
        "SELECT \"größe\", pg_encoding_to_char(encoding) FROM \"größe\", pg_database WHERE datname = 'latin'",
    );
    assert_eq!(restored[0], [Some("ü".into()), Some("LATIN1".into())]);
    let text = fs::read_to_string(folder.path().join("a.dump.manifest.json")).unwrap();
    assert!(text.contains("\"postgres\""), "{text}");
    symlink("a", folder.path().join("linked")).unwrap();
    fs::copy(folder.path().join("a.manifest.json"), folder.path().join("linked.manifest.json"))
        .unwrap();
    let linked = run(&["backup", "verify", "linked"]).assert_code(4);
    assert!(linked.stderr.contains("it is no folder"), "{}", linked.stderr);

    let invocation = markenmate(&["backup", "-o", "logged.dump"]).url(&url).cwd(folder.path());
    let log = fs::File::create(folder.path().join("log")).unwrap();
    assert!(invocation.command().stdout(log).status().unwrap().success());
    assert!(Path::new(&folder.path().join("logged.dump")).exists());
}

/// Somebody's lock outside of schema public: busy, with the table named.
#[test]
fn a_lock_on_a_table_of_somebody_elses_is_waited_for_and_named() {
    let db = TestDb::baseline();
    sql(&db, "CREATE SCHEMA s; CREATE TABLE s.l (id int)");
    let holder = db.session();
    holder.sql("BEGIN; LOCK TABLE s.l");
    let run = markenmate(&["backup", "-o", "b.dump", "--max-wait", "300ms"]).db(&db).run();
    let run = run.assert_code(7);
    assert!(run.stderr.contains("s.l"), "{}", run.stderr);
}

/// A tablespace is the server's: a restore test does without.
#[test]
fn tablespaces_do_not_stop_a_restore_test() {
    let db = TestDb::baseline();
    let folder = tempfile::TempDir::new_in("/tmp").unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(cluster().data_dir()).unwrap());
    std::os::unix::fs::chown(folder.path(), Some(owner), None).unwrap();
    let name = format!("space_{}", db.name);
    sql(&db, &format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.path().display()));
    sql(&db, &format!("CREATE TABLE public.spaced (id int) TABLESPACE {name}"));
    for file in ["b.dump", "b", "b.sql"] {
        markenmate(&["backup", "-o", file, "--restore-test"]).db(&db).run().assert_code(0);
    }
    sql(&db, "DROP TABLE public.spaced");
    sql(&db, &format!("DROP TABLESPACE {name}"));
}

/// Unlogged tables are empty on a standby and cannot be read there.
#[test]
fn a_standby_with_unlogged_tables_can_be_backed_up() {
    let server = start(&[]);
    let url = database_on(&server, "live", &["V1__baseline.sql"]);
    Session::open(&url).sql("CREATE UNLOGGED TABLE public.fleeting (id int)");
    let standby = Standby::of(&server);
    let folder = tempfile::TempDir::new().unwrap();
    let run = markenmate(&["backup", "-o", "b.dump"]).url(&standby.url("live")).cwd(folder.path());
    run.run().assert_code(0);
}
