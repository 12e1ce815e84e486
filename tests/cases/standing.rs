//! Databases that somebody else made or changed: adopted where all is there, refused where it is not,
//! and migrated once the printed remedies were followed.

use serde_json::{Value, json};

use crate::support::state::{assert_migrated, fingerprint, one};
use crate::support::{TestDb, markenmate, sql};

fn status(db: &TestDb) -> Value {
    markenmate(&["status", "--format", "json"]).db(db).run().assert_code(0).json()
}

fn migrate(db: &TestDb) -> Value {
    markenmate(&["migrate", "--yes", "--format", "json"]).db(db).run().json()
}

/// Everything in `public`, which an adoption must not touch.
fn public_schema(db: &TestDb) -> String {
    let text = fingerprint(&db.session());
    let of_public = |line: &&str| {
        !line.contains("markenmate")
            && ["relation ", "column ", "constraint ", "schema "]
                .iter()
                .any(|w| line.starts_with(w))
    };
    text.lines().filter(of_public).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_adopted(db: &TestDb, adopted: &Value, applied: &Value) {
    let document = migrate(db);
    assert_eq!(document["exit_code"], 0, "{document:#}");
    assert_eq!((&document["data"]["adopted"], &document["data"]["applied"]), (adopted, applied));
    assert_migrated(&db.url);
    let flags = "SELECT string_agg(adopted::text, ',' ORDER BY version) FROM markenmate.refinery_schema_history";
    let expected: Vec<_> = [1, 2, 3]
        .map(|version| adopted.as_array().unwrap().contains(&json!(version)).to_string())
        .into();
    assert_eq!(one(&db.session(), flags), expected.join(","));
}

#[test]
fn a_hardened_database_is_adopted_untouched() {
    let db = TestDb::hardened();
    assert_eq!(status(&db)["data"]["state"], "hardened-unrecorded");
    let before = public_schema(&db);
    assert_adopted(&db, &json!([1, 2]), &json!([3]));
    assert_eq!(public_schema(&db), before);
}

#[test]
fn a_baseline_is_adopted_and_migrated() {
    let db = TestDb::baseline();
    assert_eq!(status(&db)["data"]["state"], "baseline");
    assert_adopted(&db, &json!([1]), &json!([2, 3]));
}

/// What a later version of the application has beyond the guide, in an order of its own.
#[test]
fn a_later_application_is_adopted_untouched() {
    let db = TestDb::baseline();
    let session = db.session();
    session.sql(
        r#"ALTER TABLE public.account ADD COLUMN issuer text;
           ALTER TABLE public.app_log ADD COLUMN correlation_id text, ADD COLUMN later text;
           ALTER TABLE public.token_lending ADD COLUMN version integer DEFAULT 1 NOT NULL;
           ALTER TABLE public."user" ADD COLUMN theme text, ADD COLUMN is_master_admin boolean DEFAULT false NOT NULL;
           CREATE TABLE public.audit_log (created_at timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL, id serial PRIMARY KEY,
               metadata text, action text NOT NULL, user_id text NOT NULL, user_agent text, ip_address text,
               correlation_id text, target_user_id text);
           ALTER TABLE public.audit_log
               ADD CONSTRAINT audit_log_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user" ON DELETE CASCADE,
               ADD CONSTRAINT audit_log_target_user_id_user_id_fk FOREIGN KEY (target_user_id) REFERENCES public."user" ON DELETE SET NULL;
           CREATE TABLE public.step_up_token (used boolean DEFAULT false NOT NULL, id serial PRIMARY KEY, token text NOT NULL,
               user_id text NOT NULL, expires_at timestamptz NOT NULL, created_at timestamptz DEFAULT now() NOT NULL,
               CONSTRAINT step_up_token_token_unique UNIQUE (token));
           ALTER TABLE public.step_up_token
               ADD CONSTRAINT step_up_token_user_id_user_id_fk FOREIGN KEY (user_id) REFERENCES public."user" ON DELETE CASCADE;
           CREATE INDEX audit_log_action_idx ON public.audit_log (action);
           CREATE TABLE public.feature_flag (id serial PRIMARY KEY, name text)"#,
    );
    let before = public_schema(&db);
    assert_eq!(status(&db)["data"]["state"], "hardened-unrecorded");
    assert_adopted(&db, &json!([1, 2]), &json!([3]));
    assert_eq!(public_schema(&db), before);
}

/// Follows the printed remedies, all of them, in order, each as it stands.
fn follow_remedies(db: &TestDb, findings: &Value) {
    let session = db.session();
    for finding in findings.as_array().unwrap() {
        let remedy = finding["remedy"].as_str().unwrap();
        if let Err(error) = session.try_sql(remedy) {
            panic!("{error:?}\nremedy: {remedy}\nof {finding:#}");
        }
    }
}

/// A hardened database that `break_it` made a half-migrated one: refused with one finding for each of
/// `expected` (subject, a part of the detail), nothing changed; mended as printed, it is adopted.
#[track_caller]
fn refused_until_mended(break_it: &str, expected: &[(&str, &str)]) {
    let db = TestDb::hardened();
    sql(&db, break_it);
    let before = fingerprint(&db.session());
    let document = migrate(&db);
    assert_eq!(document["exit_code"], 4, "{break_it}: {document:#}");
    assert_eq!(document["outcome"], "refused");
    let findings = &document["findings"];
    let seen: Vec<_> =
        findings.as_array().unwrap().iter().map(|f| (&f["subject"], &f["detail"])).collect();
    assert_eq!(seen.len(), expected.len(), "{break_it}: {seen:#?}");
    for ((subject, detail), (wanted, part)) in seen.iter().zip(expected) {
        assert_eq!(*subject, wanted, "{seen:#?}");
        assert!(detail.as_str().unwrap().contains(part), "{detail} without {part:?}");
    }
    assert_eq!(fingerprint(&db.session()), before, "{break_it}");
    let seen = status(&db);
    assert_eq!(seen["data"]["state"], "partial");
    assert_eq!(&seen["findings"], findings);
    follow_remedies(&db, findings);
    assert_adopted(&db, &json!([1, 2]), &json!([3]));
}

#[test]
fn half_of_it_is_refused_until_the_rest_is_there() {
    refused_until_mended(
        r#"DROP TABLE public.audit_log; ALTER TABLE public."user" DROP COLUMN is_master_admin"#,
        &[
            ("table public.audit_log", "missing"),
            (
                "column public.\"user\".is_master_admin",
                "missing; expected boolean DEFAULT false NOT NULL",
            ),
        ],
    );
}

#[test]
fn a_leftover_sequence_is_no_obstacle_to_the_remedy() {
    refused_until_mended(
        "ALTER TABLE public.audit_log ALTER COLUMN id DROP DEFAULT;
         ALTER SEQUENCE public.audit_log_id_seq OWNED BY NONE; DROP TABLE public.audit_log",
        &[("table public.audit_log", "missing")],
    );
}

#[test]
fn a_wrong_type_is_refused_until_mended() {
    refused_until_mended(
        "ALTER TABLE public.token_lending DROP COLUMN version, ADD COLUMN version text DEFAULT '1' NOT NULL",
        &[(
            "column public.token_lending.version",
            "is text DEFAULT '1'::text NOT NULL; expected integer DEFAULT 1 NOT NULL",
        )],
    );
}

#[test]
fn a_wrong_default_is_refused_until_mended() {
    refused_until_mended(
        r#"ALTER TABLE public."user" ALTER COLUMN is_master_admin SET DEFAULT true"#,
        &[("column public.\"user\".is_master_admin", "is boolean DEFAULT true NOT NULL")],
    );
}

#[test]
fn a_nullable_column_is_refused_until_mended() {
    refused_until_mended(
        "ALTER TABLE public.audit_log ALTER COLUMN action DROP NOT NULL",
        &[("column public.audit_log.action", "is text; expected text NOT NULL")],
    );
}

#[test]
fn a_missing_key_is_refused_until_mended() {
    refused_until_mended(
        "ALTER TABLE public.audit_log DROP CONSTRAINT audit_log_user_id_user_id_fk",
        &[("constraint public.audit_log.audit_log_user_id_user_id_fk", "missing")],
    );
}

#[test]
fn a_key_that_deletes_otherwise_is_refused_until_mended() {
    refused_until_mended(
        r#"ALTER TABLE public.audit_log DROP CONSTRAINT audit_log_target_user_id_user_id_fk,
           ADD CONSTRAINT audit_log_target_user_id_user_id_fk
               FOREIGN KEY (target_user_id) REFERENCES public."user" ON DELETE CASCADE"#,
        &[(
            "constraint public.audit_log.audit_log_target_user_id_user_id_fk",
            "ON DELETE CASCADE; expected",
        )],
    );
}

#[test]
fn a_key_that_was_never_checked_is_refused_until_mended() {
    refused_until_mended(
        r#"ALTER TABLE public.step_up_token DROP CONSTRAINT step_up_token_user_id_user_id_fk,
           ADD CONSTRAINT step_up_token_user_id_user_id_fk
               FOREIGN KEY (user_id) REFERENCES public."user" ON DELETE CASCADE NOT VALID"#,
        &[(
            "constraint public.step_up_token.step_up_token_user_id_user_id_fk",
            "NOT VALID; expected",
        )],
    );
}

#[test]
fn a_table_of_another_role_is_refused_until_mended() {
    let db = TestDb::empty();
    let role = format!("stranger_{}", db.name);
    sql(&db, &format!("CREATE ROLE {role}"));
    refused_until_mended(
        &format!("ALTER TABLE public.audit_log OWNER TO {role}"),
        &[("table public.audit_log", "the app's tables belong to \"postgres\"")],
    );
}

#[test]
fn a_sequence_under_another_name_is_refused_until_mended() {
    refused_until_mended(
        "ALTER SEQUENCE public.audit_log_id_seq RENAME TO audit_log_id_seq1",
        &[
            ("sequence public.audit_log.audit_log_id_seq", "is named audit_log_id_seq1"),
            ("column public.audit_log.id", "audit_log_id_seq1"),
        ],
    );
}

#[test]
fn a_view_in_a_tables_place_is_refused_until_it_has_another_name() {
    refused_until_mended(
        "DROP TABLE public.audit_log; CREATE VIEW public.audit_log AS SELECT 1 AS id",
        &[("table public.audit_log", "the name is taken")],
    );
}

/// Tables made by whoever follows the remedies belong to the application nevertheless.
#[test]
fn what_the_remedies_make_belongs_to_the_application() {
    let db = TestDb::hardened();
    let app = format!("app_{}", db.name);
    sql(
        &db,
        &format!(
            "CREATE ROLE {app}; GRANT CREATE ON SCHEMA public TO {app}; DO $$ DECLARE r record; BEGIN
               FOR r IN SELECT oid::regclass AS name FROM pg_class
                         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
               LOOP EXECUTE format('ALTER TABLE %s OWNER TO {app}', r.name); END LOOP;
             END $$; DROP TABLE public.audit_log"
        ),
    );
    follow_remedies(&db, &status(&db)["findings"]);
    assert_adopted(&db, &json!([1, 2]), &json!([3]));
}
