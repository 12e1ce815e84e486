//! What the application says to its database, with and without guards: the same answers and the same
//! rows, but for what the guards forbid.

use std::collections::BTreeSet;

use crate::support::app::{App, FIXTURE, Said, at_version, past_guards};
use crate::support::state::one;
use crate::support::{Session, TestDb};

/// A statement as drizzle writes it, and its parameters.
type Step = (&'static str, &'static [&'static str]);

/// One action of the application's: its statements, up to the first that fails.
struct Case {
    name: &'static str,
    /// What is so beforehand, made past the guards.
    before: &'static str,
    steps: &'static [Step],
    /// What the guards make of it: which step (from 0), SQLSTATE, message.
    refused: Option<(usize, &'static str, &'static str)>,
}

const MASTER: &str = "Cannot demote the master admin. This is a protected account.";
const LAST: &str = "Cannot remove the last admin. System must have at least one admin.";
const STALE: &str = "Lending was modified by another user. Please refresh and try again.";
const SPENT: &str = "Step-up authentication required";

const NOBODY: &str = "SELECT";
const ADA_IS_MASTER: &str = r#"UPDATE public."user" SET is_master_admin = true WHERE id = 'ada'"#;
const ADA_ALONE: &str = r#"UPDATE public."user" SET role = 'user' WHERE id = 'ben'"#;

const fn same(name: &'static str, before: &'static str, steps: &'static [Step]) -> Case {
    Case { name, before, steps, refused: None }
}

const fn refused(
    name: &'static str,
    before: &'static str,
    steps: &'static [Step],
    as_said: (usize, &'static str, &'static str),
) -> Case {
    Case { name, before, steps, refused: Some(as_said) }
}

const INSERT_USER: &str = r#"insert into "user" ("id", "name", "email", "email_verified", "image", "role", "must_change_password", "created_at", "updated_at") values ($1, $2, $3, $4, default, default, default, $5, $5) returning "id", "name", "email", "role", "must_change_password""#;
const INSERT_ACCOUNT: &str = r#"insert into "account" ("id", "account_id", "provider_id", "user_id", "access_token", "password", "created_at", "updated_at") values ($1, $2, $3, $2, default, $4, $5, $5) returning "id", "user_id""#;
const SET_ROLE: &str = r#"update "user" set "role" = $1, "updated_at" = $2 where "user"."id" = $3"#;
const DELETE_USER: &str = r#"delete from "user" where "user"."id" = $1"#;
const SET_COUNT: &str = r#"update "token_lending" set "token_count" = $1, "total_tokens_lent" = "total_tokens_lent" + $2, "version" = "token_lending"."version" + 1, "updated_at" = $3 where ("token_lending"."id" = $4 and "token_lending"."version" = $5) returning "id", "token_count", "version""#;
const SET_STATUS: &str = r#"update "token_lending" set "acceptance_status" = $1, "updated_at" = $2 where "token_lending"."id" = $3"#;
const FIND_TOKEN: &str = r#"select "id", "user_id", "used" from "step_up_token" where ("step_up_token"."token" = rpad($1, 43, '-') and "step_up_token"."user_id" = $2 and "step_up_token"."used" = $3 and "step_up_token"."expires_at" >= now()) limit $4"#;
const SPEND: &str = r#"update "step_up_token" set "used" = $1 where "step_up_token"."id" = $2"#;
const SPEND_IF: &str = r#"update "step_up_token" set "used" = true where ("token" = rpad($1, 43, '-') and "used" = false and "expires_at" >= now())"#;
const AUDIT: &str = r#"insert into "audit_log" ("id", "user_id", "action", "target_user_id", "metadata", "ip_address", "user_agent", "correlation_id", "created_at") values (default, $1, $2, $3, $4, 'unknown', 'Mozilla/5.0', $5, default)"#;
const NOW: &str = "2025-11-03T08:00:00.000Z";

const PROMOTED: Step = (SET_ROLE, &["admin", NOW, "seed"]);
const SIGN_UP: Step = (INSERT_USER, &["new", "Neu", "neu@example.de", "false", NOW]);
const SEED: Step = (INSERT_USER, &["seed", "Administrator", "seed@markenmate.app", "true", NOW]);

#[rustfmt::skip]
static CASES: &[Case] = &[
    same("sign-up", NOBODY, &[
        SIGN_UP,
        (INSERT_ACCOUNT, &["account-new", "new", "credential", "a:b", NOW]),
        (r#"insert into "session" ("id", "expires_at", "token", "created_at", "updated_at", "ip_address", "user_agent", "user_id") values ($1, $2, $3, $4, $4, $5, $6, $7) returning "id", "token""#,
            &["session-new", "2035-01-01T00:00:00Z", "t-new", NOW, "203.0.113.9", "Mozilla/5.0", "new"]),
        (r#"update "session" set "expires_at" = $1, "updated_at" = $2 where "session"."id" = $3"#, &["2036-01-01T00:00:00Z", NOW, "session-new"]),
    ]),
    same("sign-up with an email that is taken", NOBODY, &[(INSERT_USER, &["new", "Neu", "ada@example.de", "false", NOW])]),
    same("sign-out", NOBODY, &[(r#"delete from "session" where "session"."token" = $1"#, &["token-ada"])]),
    same("the seed at start", NOBODY, &[
        (r#"select "id", "role" from "user" where "user"."email" = $1 limit $2"#, &["seed@markenmate.app", "1"]),
        SEED, PROMOTED, (INSERT_ACCOUNT, &["account-seed", "seed", "credential", "a:b", NOW]),
    ]),
    same("the seed, made again without a password", r"DELETE FROM public.account WHERE user_id = 'ben'",
        &[(DELETE_USER, &["ben"]), SEED, PROMOTED]),
    refused("the seed, made again, where it is the last admin", ADA_ALONE,
        &[(DELETE_USER, &["ada"]), SEED, PROMOTED], (0, "MM102", LAST)),
    refused("the seed, made again, where it is the master admin", ADA_IS_MASTER,
        &[(DELETE_USER, &["ada"]), SEED, PROMOTED], (0, "MM101", MASTER)),
    same("a lending", NOBODY, &[
        (r#"insert into "token_lending" ("id", "user_id", "lend_to_user_id", "person_name", "token_count", "last_lending_date", "total_tokens_lent", "acceptance_status", "version", "created_at", "updated_at") values (default, $1, $2, $3, $4, $5, $4, default, default, $5, $5) returning "id", "version", "acceptance_status""#,
            &["ada", "max", "Max", "3", NOW]),
        (AUDIT, &["ada", "LENDING_CREATE", "max", r#"{"lendingId":1}"#, "c-9"]),
    ]),
    same("accepted", NOBODY, &[(SET_STATUS, &["accepted", NOW, "9001"])]),
    same("declined", NOBODY, &[(SET_STATUS, &["declined", NOW, "9001"])]),
    same("accepted, changed, accepted again", NOBODY, &[
        (SET_STATUS, &["accepted", NOW, "9001"]), (SET_COUNT, &["8", "3", NOW, "9001", "1"]), (SET_STATUS, &["accepted", NOW, "9001"]),
    ]),
    same("a lending changed twice", NOBODY, &[
        (SET_COUNT, &["6", "1", NOW, "9001", "1"]), (SET_COUNT, &["4", "0", NOW, "9001", "2"]),
        (AUDIT, &["ada", "LENDING_UPDATE", "uta", "{}", "c-10"]),
    ]),
    same("a lending changed to the same count", NOBODY, &[(SET_COUNT, &["5", "0", NOW, "9001", "1"])]),
    refused("a stale change", NOBODY, &[(SET_COUNT, &["6", "1", NOW, "9001", "1"]), (SET_COUNT, &["7", "2", NOW, "9001", "1"])], (1, "40001", STALE)),
    refused("a change of a lending that is gone", NOBODY,
        &[(r#"delete from "token_lending" where "token_lending"."id" = $1"#, &["9001"]), (SET_COUNT, &["6", "1", NOW, "9001", "1"])], (1, "40001", STALE)),
    refused("accepted, but gone", NOBODY, &[(SET_STATUS, &["accepted", NOW, "12345"])], (0, "40001", STALE)),
    refused("a count without its version", NOBODY,
        &[(r#"update "token_lending" set "token_count" = $1 where "id" = $2"#, &["6", "9001"])],
        (0, "MM104", "The version of lending 9001 may not go from 1 to 1.")),
    refused("a version that decreases", NOBODY,
        &[(r#"update "token_lending" set "version" = 0 where "id" = $1"#, &["9001"])],
        (0, "MM104", "The version of lending 9001 may not go from 1 to 0.")),
    same("a lending deleted, and one that is gone", NOBODY, &[
        (r#"delete from "token_lending" where ("token_lending"."id" = $1 and "token_lending"."user_id" = $2)"#, &["9001", "ada"]),
        (r#"delete from "token_lending" where "token_lending"."id" = $1"#, &["9001"]),
    ]),
    same("many lendings at once", NOBODY, &[
        (r#"update "token_lending" set "acceptance_status" = $1 where "user_id" = $2 returning "id""#, &["accepted", "ada"]),
        (r#"update "token_lending" set "token_count" = "token_count" + 1, "version" = "version" + 1 where "id" > $1 returning "id", "token_count", "version""#, &["9000"]),
    ]),
    same("a lending changed by WITH", NOBODY, &[
        (r#"with "changed" as (update "token_lending" set "token_count" = 9, "version" = "version" + 1 where "id" = $1 returning "id", "version"), "log" as (insert into "app_log" ("level", "message", "user_id") values ('info', 'AUDIT: UPDATE_LENDING', 'ada')) select * from "changed""#, &["9001"]),
    ]),
    refused("a stale change by WITH", NOBODY,
        &[(r#"with "changed" as (update "token_lending" set "token_count" = 9, "version" = "version" + 1 where "id" = $1 and "version" = 7 returning "id") select count(*) from "changed""#, &["9001"])],
        (0, "40001", STALE)),
    same("changes in a transaction with savepoints", NOBODY, &[
        ("begin", &[]), ("savepoint sp1", &[]), (SET_COUNT, &["6", "1", NOW, "9001", "1"]), ("rollback to savepoint sp1", &[]),
        ("savepoint sp1", &[]), (SET_COUNT, &["7", "2", NOW, "9001", "1"]), ("release savepoint sp1", &[]),
        (SET_ROLE, &["admin", NOW, "uta"]), ("commit", &[]),
    ]),
    same("INSERT ON CONFLICT into lendings", NOBODY, &[
        (r#"insert into "token_lending" ("id", "user_id", "person_name", "token_count") values ($1, 'ada', 'Neu', 1) on conflict ("id") do update set "token_count" = excluded."token_count", "version" = "token_lending"."version" + 1 returning "id", "version""#, &["9100"]),
        (r#"insert into "token_lending" ("id", "user_id", "person_name", "token_count") values ($1, 'ada', 'Neu', 2) on conflict ("id") do update set "token_count" = excluded."token_count", "version" = "token_lending"."version" + 1 returning "id", "version""#, &["9100"]),
        (r#"insert into "token_lending" ("id", "user_id", "person_name", "token_count") values ($1, 'ada', 'Neu', 2) on conflict do nothing"#, &["9100"]),
    ]),
    refused("a conflict right after an INSERT in the same transaction", NOBODY, &[
        ("begin", &[]),
        (r#"insert into "token_lending" ("id", "user_id", "person_name", "token_count") values ($1, 'ada', 'Neu', 1) on conflict ("id") do update set "person_name" = 'Neuer'"#, &["9101"]),
        (SET_COUNT, &["7", "2", NOW, "9001", "8"]),
    ], (2, "40001", STALE)),
    same("a token asked for, found and spent", NOBODY, &[
        (r#"insert into "step_up_token" ("id", "token", "user_id", "expires_at", "used", "created_at") values (default, $1, $2, $3, default, default) returning "id", "token", "used""#,
            &["Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE", "ada", "2035-01-01T00:00:00Z"]),
        (FIND_TOKEN, &["fresh", "ada", "false", "1"]), (SPEND, &["true", "9001"]), (FIND_TOKEN, &["fresh", "ada", "false", "1"]),
        (AUDIT, &["ada", "STEP_UP_AUTH_SUCCESS", "ada", "{}", "c-11"]),
    ]),
    same("a token of somebody else's, one spent, one expired: not found", NOBODY, &[
        (FIND_TOKEN, &["fresh", "ben", "false", "1"]), (FIND_TOKEN, &["spent", "ada", "false", "1"]), (FIND_TOKEN, &["late", "ada", "false", "1"]),
    ]),
    same("old tokens cleared away", NOBODY, &[(r#"delete from "step_up_token" where "used" or "expires_at" < now()"#, &[])]),
    same("a token spent by its text", NOBODY, &[(SPEND_IF, &["fresh"])]),
    refused("a token spent twice", NOBODY, &[(SPEND, &["true", "9001"]), (SPEND, &["true", "9001"])], (1, "40001", SPENT)),
    refused("a spent token made fresh", NOBODY, &[(SPEND, &["false", "9002"])], (0, "40001", SPENT)),
    refused("a token spent twice by its text", NOBODY, &[(SPEND_IF, &["fresh"]), (SPEND_IF, &["fresh"])], (1, "40001", SPENT)),
    refused("an expired token", NOBODY, &[(SPEND_IF, &["late"])], (0, "40001", SPENT)),
    same("INSERT ON CONFLICT into tokens", NOBODY, &[
        (r#"insert into "step_up_token" ("token", "user_id", "expires_at") values ($1, 'ada', now() + interval '10 minutes') on conflict ("token") do update set "expires_at" = excluded."expires_at" returning "used""#, &["again"]),
        (r#"insert into "step_up_token" ("token", "user_id", "expires_at") values ($1, 'ada', now() + interval '10 minutes') on conflict ("token") do update set "expires_at" = excluded."expires_at" returning "used""#, &["again"]),
    ]),
    same("change of password", NOBODY, &[
        (INSERT_USER, &["temp-1", "temp", "temp-1@example.de", "false", NOW]), (INSERT_ACCOUNT, &["account-temp", "temp-1", "credential", "new", NOW]),
        (r#"select "password" from "account" where "account"."user_id" = $1 limit $2"#, &["temp-1", "1"]),
        (r#"update "account" set "password" = $1, "updated_at" = $2 where ("account"."user_id" = $3 and "account"."provider_id" = $4)"#, &["new", NOW, "ada", "credential"]),
        (r#"update "user" set "must_change_password" = $1, "updated_at" = $2 where "user"."id" = $3"#, &["false", NOW, "ada"]), (DELETE_USER, &["temp-1"]),
    ]),
    same("change of the master admin's and last admin's own data", "UPDATE public.\"user\" SET is_master_admin = id = 'ada', role = CASE WHEN id = 'ada' THEN 'admin' ELSE 'user' END::public.user_role", &[
        (r#"update "user" set "name" = $1, "email" = $2, "image" = $3 where "user"."id" = $4 returning "id", "name""#, &["Ada L.", "a@example.de", "x.png", "ada"]),
        (SET_ROLE, &["admin", NOW, "ada"]), (r#"update "user" set "must_change_password" = false"#, &[]),
    ]),
    same("a user deleted, with sessions, tokens, audit rows, backups and lendings", "INSERT INTO public.step_up_token (token, user_id, expires_at) VALUES ('b', 'ben', now())", &[(DELETE_USER, &["ben"])]),
    same("users deleted, several and nobody", NOBODY, &[(r#"delete from "user" where "user"."role" = $1"#, &["user"]), (DELETE_USER, &["nobody"])]),
    same("a role given and taken", NOBODY, &[
        (r#"select count(*)::int from "user" where "user"."role" = $1"#, &["admin"]), (SET_ROLE, &["admin", NOW, "uta"]),
        (AUDIT, &["ada", "CHANGE_ROLE", "uta", r#"{"oldRole":"user","newRole":"admin"}"#, "c-12"]), (SET_ROLE, &["user", NOW, "uta"]), (SET_ROLE, &["user", NOW, "ben"]),
        (SET_ROLE, &["user", NOW, "nobody"]),
    ]),
    refused("the last admin demoted", NOBODY, &[(SET_ROLE, &["user", NOW, "ben"]), (SET_ROLE, &["user", NOW, "ada"])], (1, "MM102", LAST)),
    refused("the master admin demoted", ADA_IS_MASTER, &[(SET_ROLE, &["user", NOW, "ada"])], (0, "MM101", MASTER)),
    same("the guide's own script: nobody is master yet", NOBODY, &[(r#"update "user" set "is_master_admin" = true where "id" = $1"#, &["ada"])]),
    refused("the guide's own script: somebody is", ADA_IS_MASTER,
        &[(r#"update "user" set "is_master_admin" = true where "id" = $1"#, &["ben"])], (0, "MM103", "There is a master admin already.")),
    same("COPY of users", NOBODY, &[
        (r#"copy "user" ("id", "name", "email", "role") from program 'printf "c1,C,c1@example.de,user\nc2,C,c2@example.de,admin\n"' with (format csv)"#, &[]),
        (r#"copy "token_lending" ("user_id", "person_name", "token_count") from program 'printf "c1,C,1\nc2,C,2\n"' with (format csv)"#, &[]),
        (SET_ROLE, &["user", NOW, "c2"]),
    ]),
    same("what an audit page does", NOBODY, &[
        (r#"select "id", "action", "metadata" from "audit_log" where "user_id" = $1 order by "audit_log"."id" desc limit $2"#, &["ben", "50"]),
        (r#"delete from "audit_log" where "created_at" < $1"#, &["2025-12-01T00:00:00Z"]),
    ]),
];

/// From 15 on.
#[rustfmt::skip]
static MERGES: &[Case] = &[
    same("MERGE", NOBODY, &[
        (r#"merge into "token_lending" t using (values (9001, 8), (9200, 1)) s ("id", "n") on t."id" = s."id" when matched then update set "token_count" = s."n", "version" = t."version" + 1 when not matched then insert ("id", "user_id", "person_name", "token_count") values (s."id", 'ada', 'Neu', s."n")"#, &[]),
        (r#"merge into "token_lending" t using (values (9201, 1)) s ("id", "n") on t."id" = s."id" when matched then update set "token_count" = s."n", "version" = t."version" + 1 when not matched then insert ("id", "user_id", "person_name", "token_count") values (s."id", 'ada', 'Neu', s."n")"#, &[]),
        (r#"merge into "user" u using (values ('uta')) s ("id") on u."id" = s."id" when matched then update set "role" = 'admin'"#, &[]),
        (r#"merge into "user" u using (values ('ben')) s ("id") on u."id" = s."id" when matched then delete"#, &[]),
    ]),
    refused("MERGE that updates nothing and could do nothing else", NOBODY,
        &[(r#"merge into "token_lending" t using (values (9300)) s ("id") on t."id" = s."id" when matched then update set "person_name" = 'Neu'"#, &[])],
        (0, "40001", STALE)),
    refused("MERGE that takes the last admin", ADA_ALONE,
        &[(r#"merge into "user" u using (values ('ada')) s ("id") on u."id" = s."id" when matched then delete"#, &[])], (0, "MM102", LAST)),
];

/// One of the two databases.
struct Side {
    session: Session,
    db: TestDb,
}

impl Side {
    fn new(version: u32) -> Self {
        let db = at_version(version);
        let session = db.session();
        let tables = session.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
        );
        // All but when they came: that is now, in two databases at two moments.
        let rows = tables.iter().flatten().flatten().map(|table| {
            format!(
                "SELECT '{table} ' || (to_jsonb(t) - '{{created_at,updated_at,expires_at,last_lending_date}}'::text[])::text \
                 FROM public.\"{table}\" t"
            )
        });
        let rows = rows.collect::<Vec<_>>().join(" UNION ALL ");
        session.sql(&format!("PREPARE all_rows AS {rows}"));
        Self { session, db }
    }

    fn rows(&self) -> BTreeSet<String> {
        self.session.sql("EXECUTE all_rows").into_iter().flatten().flatten().collect()
    }

    /// The answers up to the first that is none, and the rows before and afterwards.
    fn run(&self, case: &Case) -> (Vec<Said>, BTreeSet<String>, BTreeSet<String>) {
        self.session.sql(FIXTURE);
        past_guards(&self.session, case.before);
        let before = self.rows();
        let app = App::open(&self.db.url);
        let mut answers = Vec::new();
        for (sql, parameters) in case.steps {
            answers.push(app.ask(sql, parameters));
            if answers.last().is_some_and(Result::is_err) {
                break;
            }
        }
        drop(app);
        (answers, before, self.rows())
    }
}

#[track_caller]
fn assert_same(one: &BTreeSet<String>, other: &BTreeSet<String>, name: &str) {
    let difference: Vec<_> = one.symmetric_difference(other).collect();
    assert!(difference.is_empty(), "{name}: {difference:#?}");
}

#[test]
fn the_application_sees_no_difference_but_what_is_forbidden() {
    let (plain, guarded) = (Side::new(2), Side::new(3));
    let version =
        one(&plain.db.session(), "SELECT current_setting('server_version_num')::int / 10000");
    let merges = if version.parse::<u32>().unwrap() >= 15 { MERGES } else { &[] };
    for case in CASES.iter().chain(merges) {
        let name = case.name;
        let (without, before, after) = plain.run(case);
        let (with, before_it, guarded_after) = guarded.run(case);
        assert_same(&before, &before_it, name);
        let Some((step, state, message)) = case.refused else {
            assert_eq!(with, without, "{name}");
            assert_same(&guarded_after, &after, name);
            continue;
        };
        assert_eq!(without.len(), case.steps.len(), "{name}, unguarded: {without:?}");
        assert!(without.iter().all(Result::is_ok), "{name}, unguarded: {without:?}");
        assert_eq!(with[..step], without[..step], "{name}");
        assert_eq!(with[step..], [Err((state.to_owned(), message.to_owned()))], "{name}");
        if step == 0 {
            assert_same(&guarded_after, &before, name);
        }
    }
}
