//! Backups where the programs are elsewhere: in a container, on the server only, behind age.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use crate::support::own_server::{program, succeed};
use crate::support::schema::digests;
use crate::support::state::{one, owned_by};
use crate::support::{Invocation, Session, TestDb, cluster, markenmate, sql};

const CONTAINER: &str = "markenmate-db-1";

/// A folder with a `docker` that runs what it is told on this machine, as the container would: at
/// another place, with the server's own programs and socket.
fn docker() -> TempDir {
    let folder = TempDir::new().unwrap();
    let bindir = program(cluster(), "pg_dump").parent().unwrap().display().to_string();
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1\" = exec ] || exit 64\nshift\n\
         while :; do case $1 in --interactive) shift ;; --env) shift 2 ;; *) break ;; esac; done\n\
         [ \"$1\" = {CONTAINER} ] || {{ echo \"Error response from daemon: No such container: $1\" >&2; exit 1; }}\n\
         shift\ncd /\n\
         exec env -i PATH={bindir}:/usr/bin:/bin PGHOST={} PGPORT={} \"$@\"\n",
        cluster().socket_dir().display(),
        cluster().port(),
    );
    let path = folder.path().join("docker");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// On a host that has docker and no PostgreSQL.
fn bare_host(args: &[&str], db: &TestDb, docker: &TempDir) -> Invocation {
    let path = format!("{}:/usr/bin:/bin", docker.path().display());
    let nothing = db.folder().join("nothing");
    fs::create_dir_all(&nothing).unwrap();
    markenmate(args)
        .db(db)
        .env("PATH", &path)
        .env("MARKENMATE_PG_BINDIR", nothing.to_str().unwrap())
}

fn leavings(db: &TestDb) -> String {
    let session = Session::open(&cluster().url("postgres"));
    one(
        &session,
        &format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{}\\_restoring%'", db.name),
    )
}

#[test]
fn backup_and_restore_run_in_the_container() {
    let (db, docker) = (TestDb::baseline(), docker());
    let via = ["--via-docker", CONTAINER];
    let run = |args: &[&str]| bare_host(&[args, &via].concat(), &db, &docker).run();
    let rows = digests(&db);
    let none = bare_host(&["backup"], &db, &docker).run().assert_code(4);
    assert!(none.stderr.contains("--via-docker CONTAINER"), "{}", none.stderr);
    // What comes out of a container is one stream.
    let made = run(&["backup", "-o", "b.dump", "--format", "json"]).assert_code(0).json();
    run(&["backup", "verify", "b.dump"]).assert_code(0);
    assert!(made["data"]["bytes"].as_u64().unwrap() > 1000);
    let named = run(&["backup", "--format", "json"]).assert_code(0).json();
    assert!(named["data"]["path"].as_str().unwrap().ends_with("Z.dump"), "{named:#}");
    run(&["backup", "-F", "directory"]).assert_code(2);
    run(&["backup", "-o", "b.sql"]).assert_code(0);
    let other = bare_host(&["backup", "--via-docker", "other"], &db, &docker).run().assert_code(4);
    assert!(other.stderr.contains("No such container: other"), "{}", other.stderr);
    for name in ["--privileged", "a b", ""] {
        let flag = format!("--via-docker={name}");
        bare_host(&["backup", &flag], &db, &docker).run().assert_code(2);
    }

    sql(&db, "DELETE FROM public.token_lending");
    for path in ["b.dump", "b.sql"] {
        run(&["rollback", "--restore", path, "--confirm", &db.name, "--no-safety-backup"])
            .assert_code(0);
        sql(&db, "DELETE FROM public.db_backup WHERE description LIKE 'markenmate%'");
        assert_eq!(digests(&db), rows, "{path}");
    }
    // A folder cannot be piped into it.
    markenmate(&["backup", "-o", "folder"]).db(&db).run().assert_code(0);
    let folder = run(&["rollback", "--restore", "folder", "--confirm", &db.name]).assert_code(4);
    assert!(folder.stderr.contains("cannot be piped into a container"), "{}", folder.stderr);
}

/// Another server's container cannot give this database's backup.
#[test]
fn a_container_with_another_server_is_not_taken_for_this_one() {
    let (db, docker) = (TestDb::baseline(), docker());
    let server = crate::support::start(&[]);
    let url = crate::support::database_on(&server, &db.name, &["V1__baseline.sql"]);
    let run = bare_host(&["backup", "-o", "b.dump", "--via-docker", CONTAINER], &db, &docker);
    let run = run.env("DATABASE_URL", &url).run();
    assert!(run.code == 1 && run.stderr.contains("snapshot"), "{run:?}");
    assert!(!db.folder().join("b.dump").exists());
}

/// Without a server on this machine: on the server that is named, where somebody agrees.
#[test]
fn a_restore_test_can_use_a_scratch_database_on_the_server() {
    let (db, docker) = (TestDb::baseline(), docker());
    let via = ["--via-docker", CONTAINER];
    let run = |args: &[&str]| bare_host(&[args, &via].concat(), &db, &docker);
    run(&["backup", "-o", "b.dump", "--checksums", "full"]).run().assert_code(0);
    let refused = run(&["backup", "verify", "b.dump", "--restore-test"]).run().assert_code(4);
    assert!(refused.stderr.contains("apt-get install postgresql"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let nowhere = run(&["backup", "verify", "b.dump", "--restore-test", "--yes"]);
    let nowhere = nowhere.env("DATABASE_URL", "").run().assert_code(4);
    assert!(nowhere.stderr.contains("-d URL"), "{}", nowhere.stderr);
    let other = run(&["backup", "verify", "b.dump", "--restore-test", "--confirm", "production"]);
    let other = other.run().assert_code(4);
    assert!(other.stderr.contains("does not name this database"), "{}", other.stderr);
    let tested =
        run(&["backup", "verify", "b.dump", "--restore-test", "--yes"]).run().assert_code(0);
    assert!(tested.stdout.contains("restored and compared"), "{}", tested.stdout);
    assert!(db.folder().join("b.dump.restore-tested.json").exists());
    assert_eq!(leavings(&db), "0");
}

/// Whoever owns the tables and may make databases needs no more, whatever the live one lets him do.
#[test]
fn a_scratch_database_is_its_makers_own() {
    let (db, docker) = (TestDb::baseline(), docker());
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app} LOGIN CREATEDB; {}; REVOKE ALL ON DATABASE {n} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {n} TO {app}",
            owned_by(&app),
            n = db.name,
        ),
    );
    let run = |args: &[&str]| {
        let run = bare_host(&[args, &["--via-docker", CONTAINER]].concat(), &db, &docker);
        run.env("DATABASE_URL", &db.url_as(&app)).run()
    };
    run(&["backup", "-o", "b.sql"]).assert_code(0);
    run(&["backup", "verify", "b.sql", "--restore-test", "--yes"]).assert_code(0);
    assert_eq!(leavings(&db), "0");
}

/// age: whoever has the secret key, and nobody else.
#[test]
fn an_encrypted_backup_comes_back_with_the_right_identity_only() {
    let db = TestDb::baseline();
    let folder = db.folder();
    let key = |name: &str| {
        let made = succeed(
            Command::new("age-keygen")
                .arg("-o")
                .arg(folder.join(name))
                .env_clear()
                .env("PATH", "/usr/bin:/bin"),
        );
        drop(made);
        let text = fs::read_to_string(folder.join(name)).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix("# public key: ").map(str::to_owned))
            .unwrap()
    };
    let (right, _wrong) = (key("right.key"), key("wrong.key"));
    let run = |args: &[&str]| markenmate(args).db(&db).run();
    // A restore test reads it piece by piece then.
    sql(&db, "CREATE SCHEMA e; CREATE EXTENSION hstore SCHEMA e");
    run(&["backup", "-o", "b.dump.age", "--recipient", &right]).assert_code(0);
    let bytes = fs::read(folder.join("b.dump.age")).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    let rows = {
        sql(&db, "DELETE FROM public.db_backup WHERE description LIKE 'markenmate%'");
        digests(&db)
    };
    // Its bytes are what was written: whoever has no key can see that.
    let seen = run(&["backup", "verify", "b.dump.age"]).assert_code(0);
    assert!(seen.stdout.contains("it is encrypted and was not read"), "{}", seen.stdout);
    // Nobody knows whether it can be read: that is not enough for a migration.
    let gate = ["migrate", "--yes", "--require-backup", "1h,b.dump.age"];
    let run_gate = run(&gate).assert_code(4);
    assert!(run_gate.stderr.contains("is not verified"), "{}", run_gate.stderr);
    run(&["backup", "verify", "b.dump.age", "--identity", "right.key"]).assert_code(0);
    run(&["migrate", "--check", "--require-backup", "1h,b.dump.age"]).assert_code(3);
    let wrong = run(&["backup", "verify", "b.dump.age", "--identity", "wrong.key"]).assert_code(4);
    assert!(wrong.stderr.contains("age cannot decrypt"), "{}", wrong.stderr);
    run(&["backup", "verify", "b.dump.age", "--identity", "right.key", "--restore-test"])
        .assert_code(0);

    sql(&db, "DELETE FROM public.token_lending");
    let restore =
        ["rollback", "--restore", "b.dump.age", "--confirm", &db.name, "--no-safety-backup"];
    let none = run(&restore).assert_code(4);
    assert!(none.stderr.contains("--identity FILE"), "{}", none.stderr);
    let wrong = run(&[&restore[..], &["--identity", "wrong.key"]].concat()).assert_code(4);
    assert!(wrong.stderr.contains("age cannot decrypt"), "{}", wrong.stderr);
    run(&[&restore[..], &["--identity", "right.key"]].concat()).assert_code(0);
    assert_eq!(digests(&db), rows);

    for wrong in ["AGE-SECRET-KEY-1QQ", "me@example.org", "age1nobody"] {
        let wrong = run(&["backup", "-o", "x.dump.age", "--recipient", wrong]);
        let said = [(2, "recipient"), (4, "age cannot encrypt")];
        let is_said = |(code, text)| wrong.code == code && wrong.stderr.contains(text);
        assert!(said.into_iter().any(is_said), "{wrong:?}");
        assert!(!folder.join("x.dump.age").exists());
    }
    run(&["backup", "-o", "-", "--recipient", &right]).assert_code(2);
    run(&["backup", "-o", "x.sql", "--recipient", &right]).assert_code(2);
    // Without age.
    let nothing = folder.join("nothing");
    fs::create_dir(&nothing).unwrap();
    let bindir = program(cluster(), "pg_dump").parent().unwrap().display().to_string();
    let none = markenmate(&["backup", "-o", "x.dump.age", "--recipient", &right]).db(&db);
    let none =
        none.env("PATH", nothing.to_str().unwrap()).env("MARKENMATE_PG_BINDIR", &bindir).run();
    let none = none.assert_code(4);
    assert!(none.stderr.contains("apt-get install age"), "{}", none.stderr);
}
