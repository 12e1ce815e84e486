use super::*;
use crate::migrations::registry;

/// As `lock table`, then how often it is read, or `!` where it is written anew.
fn told(sql: &str) -> Vec<String> {
    let effects = effects([sql]).expect("told");
    let shown = effects.iter().map(|e| {
        let scans = if e.scans > 0 { format!(" {}", e.scans) } else { String::new() };
        format!("{} {}{scans}{}", e.lock, e.table, if e.rewrites { " !" } else { "" })
    });
    shown.collect()
}

#[test]
fn every_statement_of_every_migration_is_told() {
    for entry in &registry::APP {
        assert!(effects([entry.sql]).is_ok(), "{entry}: {:?}", effects([entry.sql]));
    }
    for entry in &registry::OWN {
        assert!(effects([entry.sql]).is_ok(), "{}: {:?}", entry.name, effects([entry.sql]));
    }
}

#[test]
fn locks_scans_and_rewrites_are_told_from_the_text() {
    for (sql, expected) in [
        (
            "LOCK TABLE public.\"user\" IN SHARE ROW EXCLUSIVE MODE",
            &["SHARE ROW EXCLUSIVE public.\"user\""][..],
        ),
        ("ALTER TABLE public.a ADD COLUMN b text", &["ACCESS EXCLUSIVE public.a"]),
        (
            "ALTER TABLE public.a ADD COLUMN b integer DEFAULT 1 NOT NULL",
            &["ACCESS EXCLUSIVE public.a"],
        ),
        ("ALTER TABLE public.a ADD COLUMN b text DEFAULT 'x'", &["ACCESS EXCLUSIVE public.a"]),
        (
            "ALTER TABLE public.a ADD COLUMN b timestamptz DEFAULT now()",
            &["ACCESS EXCLUSIVE public.a"],
        ),
        (
            "ALTER TABLE public.a ADD COLUMN b timestamptz DEFAULT clock_timestamp()",
            &["ACCESS EXCLUSIVE public.a !"],
        ),
        (
            "ALTER TABLE public.a ADD COLUMN b integer GENERATED ALWAYS AS IDENTITY",
            &["ACCESS EXCLUSIVE public.a !"],
        ),
        (
            "ALTER TABLE ONLY public.a ADD CONSTRAINT k FOREIGN KEY (b, c) REFERENCES public.p (b, c)",
            &["SHARE ROW EXCLUSIVE public.a 1", "SHARE ROW EXCLUSIVE public.p 1"],
        ),
        (
            "ALTER TABLE public.a ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES public.p NOT VALID",
            &["SHARE ROW EXCLUSIVE public.a", "SHARE ROW EXCLUSIVE public.p"],
        ),
        (
            "ALTER TABLE public.a DROP COLUMN b, RENAME c TO d",
            &["ACCESS EXCLUSIVE public.a", "ACCESS EXCLUSIVE public.a"],
        ),
        ("ALTER TABLE public.a SET SCHEMA other", &["ACCESS EXCLUSIVE public.a"]),
        (
            "CREATE TRIGGER t BEFORE UPDATE OF c OR DELETE ON public.a FOR EACH ROW EXECUTE FUNCTION f()",
            &["SHARE ROW EXCLUSIVE public.a"],
        ),
        ("CREATE TABLE public.b (a text REFERENCES public.a)", &["SHARE ROW EXCLUSIVE public.a"]),
        ("INSERT INTO public.a DEFAULT VALUES", &["ROW EXCLUSIVE public.a"]),
        ("COMMENT ON TABLE public.a IS 'FROM public.b'", &["SHARE UPDATE EXCLUSIVE public.a"]),
        ("SELECT count(*) FROM public.a JOIN pg_class ON true", &["ACCESS SHARE public.a 1"]),
        (
            "DO $$ BEGIN IF EXISTS (SELECT FROM public.a) OR EXISTS (SELECT FROM public.a) THEN RAISE 'x'; END IF; END $$",
            &["ACCESS SHARE public.a 2"],
        ),
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT FROM public.a $$",
            &["ACCESS SHARE public.a"],
        ),
    ] {
        assert_eq!(told(sql), expected, "{sql}");
    }
}

#[test]
fn what_a_run_makes_itself_is_in_nobodys_use() {
    let made = "CREATE TABLE public.b (a text); ALTER TABLE public.b ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES public.a";
    assert_eq!(told(made), ["SHARE ROW EXCLUSIVE public.a"]);
    // Across texts as well.
    let both = effects(["CREATE TABLE public.b ()", "LOCK TABLE public.b IN SHARE MODE"]);
    assert_eq!(both.expect("told"), []);
}

#[test]
fn what_cannot_be_told_is_said() {
    for sql in [
        "DO $$ BEGIN EXECUTE format('ALTER TABLE %s', x); END $$",
        "DO $$ BEGIN EXECUTE x; END $$",
        "DO $$ BEGIN LOCK TABLE public.a; END $$",
        "DO $$ BEGIN PERFORM f(); END $$",
        "ALTER TABLE public.a VALIDATE CONSTRAINT k",
        "ALTER TABLE a ADD COLUMN b text",
        "ALTER TABLE public.a ADD COLUMN b text, OWNER TO c",
        "VACUUM public.a",
        "CREATE TABLE public.b AS SELECT FROM public.a",
        "CREATE TABLE public.b (c) AS SELECT count(*) FROM public.a WHERE (true)",
        "CREATE TABLE public.b (LIKE public.a)",
    ] {
        let failure = effects([sql]).expect_err(sql);
        assert!(!failure.causes.is_empty(), "{failure:?}");
    }
    assert!(effects(["DO $$ BEGIN EXECUTE format('GRANT SELECT ON %s TO x', y); END $$"]).is_ok());
}

#[test]
fn the_strongest_lock_counts() {
    let sql = "LOCK TABLE public.a IN SHARE MODE; LOCK TABLE public.b IN SHARE MODE; SELECT FROM public.a; \
               LOCK TABLE public.b IN SHARE UPDATE EXCLUSIVE MODE; LOCK TABLE public.a IN EXCLUSIVE MODE";
    let effects = effects([sql]).expect("told");
    let locks: Vec<String> =
        locks(&effects).iter().map(|(table, lock)| format!("{table} {lock}")).collect();
    assert_eq!(locks, ["public.a EXCLUSIVE", "public.b SHARE", "public.b SHARE UPDATE EXCLUSIVE"]);
}
