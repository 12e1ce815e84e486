use super::*;
use crate::migrations::effects::effects;

fn holder(pid: i32, mode: &str, table: &str, age: Option<u64>) -> Holder {
    Holder {
        pid: Some(pid),
        transaction: format!("3/{pid}"),
        relation: format!("public.{table}"),
        root: format!("public.{table}"),
        mode: mode.into(),
        queued: false,
        user: "app".into(),
        application: "billing".into(),
        state: "active".into(),
        transaction_age_s: age,
        autovacuum: false,
        wraparound: false,
        pg_dump: false,
        out_of_reach: false,
    }
}

fn sight(holders: &[(Holder, bool)]) -> Sight {
    let holders =
        holders.iter().map(|(holder, lasts)| Held { holder: holder.clone(), lasts: *lasts });
    let size = Size { table: "public.a".into(), bytes: 500_000_000, rows: Some(7) };
    Sight { sizes: vec![size], holders: holders.collect(), runs: Vec::new() }
}

fn foretold(sql: &str, sight: &Sight) -> Forecast {
    forecast(effects([sql]).expect("told"), sight)
}

fn verdicts(sql: &str, sight: &Sight) -> Vec<(Verdict, String)> {
    foretold(sql, sight).lines.into_iter().map(|line| (line.verdict, line.why)).collect()
}

const ALTER: &str = "ALTER TABLE public.a ADD COLUMN b text";
const TRIGGER: &str =
    "CREATE TRIGGER t BEFORE DELETE ON public.a FOR EACH ROW EXECUTE FUNCTION f()";

#[test]
fn a_reader_is_in_the_way_of_who_keeps_readers_out() {
    let reader = sight(&[(holder(7, "AccessShare", "a", Some(9)), true)]);
    let [(verdict, why)] = &verdicts(ALTER, &reader)[..] else { panic!() };
    assert_eq!((*verdict, why.as_str()), (Verdict::Wait, "pid 7 has been at work for 9 s"));
    let [(verdict, why)] = &verdicts(TRIGGER, &reader)[..] else { panic!() };
    assert_eq!(
        (*verdict, why.as_str()),
        (Verdict::Go, "whoever holds it lets this lock in beside")
    );
    let writer = sight(&[(holder(7, "RowExclusive", "a", Some(9)), true)]);
    assert_eq!(verdicts(TRIGGER, &writer)[0].0, Verdict::Wait);
}

#[test]
fn who_is_gone_in_a_moment_is_no_reason_to_wait() {
    let short = sight(&[(holder(7, "AccessExclusive", "a", Some(0)), false)]);
    let foretold = foretold(ALTER, &short);
    assert_eq!(foretold.lines[0].verdict, Verdict::Go);
    assert_eq!(foretold.lines[0].why, "transactions shorter than a second end by themselves");
    assert_eq!(foretold.lines[0].holders.len(), 1);
    assert!(foretold.waits_for.is_empty());
    let elsewhere = sight(&[(holder(7, "AccessExclusive", "b", Some(9)), true)]);
    assert_eq!(verdicts(ALTER, &elsewhere), [(Verdict::Go, "nobody holds it".into())]);
}

#[test]
fn a_lock_that_is_had_is_not_waited_for_again() {
    let reader = sight(&[(holder(7, "AccessShare", "a", Some(9)), true)]);
    let sql =
        format!("LOCK TABLE public.a IN SHARE ROW EXCLUSIVE MODE; {TRIGGER}; {ALTER}; {TRIGGER}");
    let verdicts: Vec<Verdict> = verdicts(&sql, &reader).into_iter().map(|(v, _)| v).collect();
    assert_eq!(verdicts, [Verdict::Go, Verdict::Go, Verdict::Wait, Verdict::Go]);
}

#[test]
fn a_session_is_waited_for_once_with_all_its_tables() {
    let seen = sight(&[
        (holder(7, "RowExclusive", "a", Some(9)), true),
        (holder(7, "AccessShare", "a", Some(9)), true),
        (holder(7, "AccessShare", "b", Some(9)), true),
        (holder(8, "AccessShare", "b", Some(0)), false),
    ]);
    let forecast = foretold(
        "LOCK TABLE public.a IN ACCESS EXCLUSIVE MODE; LOCK TABLE public.b IN ACCESS EXCLUSIVE MODE",
        &seen,
    );
    let [waits_for] = &forecast.waits_for[..] else { panic!("{forecast:?}") };
    assert_eq!(waits_for.relation, "public.a, public.b");
    // With what is most in the way.
    assert_eq!(forecast.lines[0].holders, [holder(7, "RowExclusive", "a", Some(9))]);
    let trigger = foretold(
        TRIGGER,
        &sight(&[
            (holder(7, "AccessShare", "a", Some(9)), true),
            (holder(7, "ShareUpdateExclusive", "a", Some(9)), true),
        ]),
    );
    assert_eq!(trigger.lines[0].holders, [holder(7, "ShareUpdateExclusive", "a", Some(9))]);
}

#[test]
fn each_sort_of_holder_has_its_reason() {
    let of = |change: fn(&mut Holder)| {
        let mut holder = holder(7, "ShareUpdateExclusive", "a", Some(9));
        change(&mut holder);
        verdicts(ALTER, &sight(&[(holder, true)]))[0].1.clone()
    };
    assert!(of(|h| h.pg_dump = true).starts_with("pid 7 is a backup"));
    assert!(of(|h| h.autovacuum = true).contains("it gives way to whoever queues"));
    assert!(of(|h| (h.autovacuum, h.wraparound) = (true, true)).contains("it gives way to nobody"));
    assert!(
        of(|h| h.state = "idle in transaction".into())
            .starts_with("pid 7 has been idle in a transaction for 9 s")
    );
    assert!(of(|h| h.pid = None).starts_with("prepared transaction \"billing\" is prepared"));
    assert_eq!(of(|h| h.transaction_age_s = None), "pid 7 has been at work for more than a second");
}

#[test]
fn a_prepared_transaction_is_never_a_short_one() {
    let young = Holder { pid: None, ..holder(7, "RowExclusive", "a", Some(0)) };
    let seen = verdicts(ALTER, &sight(&[(young, false)]));
    assert_eq!(seen[0].0, Verdict::Wait);
}

#[test]
fn what_no_session_of_a_table_holds_is_not_in_the_way() {
    // Of SERIALIZABLE, and kept for a while after COMMIT.
    let marker = sight(&[(holder(7, "SIRead", "a", Some(9)), true)]);
    assert_eq!(verdicts(ALTER, &marker)[0].0, Verdict::Go);
}

#[test]
fn another_run_is_waited_for_first() {
    let run = holder(9, "Exclusive", "the lock between runs", Some(0));
    let sight = Sight { runs: vec![run.clone()], ..sight(&[]) };
    assert_eq!(foretold(ALTER, &sight).waits_for, [run]);
}

#[test]
fn what_is_read_or_written_takes_as_long_as_it_is_large() {
    let seen = sight(&[]);
    let locked = |sql: &str| foretold(sql, &seen).locked;
    assert_eq!(locked(ALTER), EACH);
    assert_eq!(
        locked("SELECT FROM public.a; SELECT FROM public.a"),
        2 * (EACH + Duration::from_millis(1250))
    );
    assert_eq!(locked("SELECT FROM public.b"), EACH);
    let rewrite = "ALTER TABLE public.a ADD COLUMN b uuid DEFAULT gen_random_uuid()";
    assert_eq!(locked(rewrite), EACH + Duration::from_secs(25));
}
