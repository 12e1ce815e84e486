//! Roles that may become the owner of the app's tables and have none of its rights until they do; and roles that
//! may not.

use std::process::{Command, Output};

use super::*;
use crate::support::own_server::program;
use crate::support::state::{owned_by, versions};
use crate::support::{Run, cluster, sql};

/// A migrated database, its owner, and a member of that which does not inherit.
struct Roles {
    db: TestDb,
    owner: String,
    member: String,
}

impl Roles {
    fn new() -> Self {
        let db = TestDb::baseline();
        let (owner, member) = (format!("owner_{}", db.name), format!("member_{}", db.name));
        sql(
            &db,
            &format!(
                "CREATE ROLE {owner} LOGIN; CREATE ROLE {member} LOGIN NOINHERIT IN ROLE {owner};
                 CREATE ROLE stranger_{} LOGIN;
                 ALTER DATABASE {} OWNER TO {owner}; {}",
                db.name,
                db.name,
                owned_by(&owner)
            ),
        );
        markenmate(&["migrate", "--yes"]).url(&db.url_as(&member)).run().assert_code(0);
        Self { db, owner, member }
    }

    fn stranger(&self) -> String {
        format!("stranger_{}", self.db.name)
    }

    fn run(&self, role: &str, args: &[&str]) -> Run {
        markenmate(args).url(&self.db.url_as(role)).run()
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let session = self.db.session();
        let roles = format!("{}, {}, {}", self.owner, self.member, self.stranger());
        let clean = format!(
            "REASSIGN OWNED BY {} TO postgres; DROP OWNED BY {roles}; DROP ROLE {roles}",
            self.owner
        );
        // A failing test must not fail twice.
        drop(session.try_sql(&clean));
    }
}

fn psql(url: &str, script: &str) -> Output {
    let mut psql = Command::new(program(cluster(), "psql"));
    psql.args(["-X", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", script]).output().unwrap()
}

#[test]
fn the_way_back_runs_as_the_owner_for_who_may_become_it() {
    let roles = Roles::new();
    for (version, left) in [("3", "1,2"), ("2", "1")] {
        let down = markenmate(&["util", "down", version]).run().assert_code(0).stdout;
        let refused = psql(&roles.db.url_as(&roles.stranger()), &down);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success());
        let owner = &roles.owner;
        let wanted = format!("role {} may not take V{version} ", roles.stranger());
        assert!(
            said.contains(&wanted) && said.contains(&format!("HINT:  connect as {owner}")),
            "{said}"
        );
        let done = psql(&roles.db.url_as(&roles.member), &down);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        assert!(said.contains(&format!("NOTICE:  with this COMMIT V{version} ")), "{said}");
        assert_eq!(versions(&roles.db.session()), left);
    }
}

#[test]
fn who_may_become_the_owner_reads_as_the_owner() {
    let roles = Roles::new();
    let list = roles.run(&roles.member, &["admin", "list", "--format", "json"]).assert_code(0);
    let first = &list.json()["data"]["admins"][0];
    assert_eq!((&first["email"], &first["has_password"]), (&SEED.into(), &true.into()));
    let heads = [&roles.owner, &roles.member].map(|role| {
        let status = roles.run(role, &["status", "--format", "json"]).assert_code(0).json();
        status["data"]["ledger_head"].clone()
    });
    assert!(heads[0].is_string() && heads[0] == heads[1], "{heads:?}");
    let args = ["verify", "--format", "json"];
    let [owner, member] = [&roles.owner, &roles.member].map(|role| {
        let document = roles.run(role, &args).json();
        (document["data"].clone(), document["findings"].clone())
    });
    assert_eq!(member, owner);
    assert_eq!(member.0["ledger_head"], heads[0]);
}
