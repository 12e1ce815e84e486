//! What is in the database in the moment that is dumped.

use chrono::{DateTime, Utc};

use crate::db::catalogue::{self, Catalogue};
use crate::db::foreign;
use crate::db::identifiers::{literal, quoted};
use crate::db::ledger::{self, Origin, Record};
use crate::db::session::{Mode, Session, Timeouts};
use crate::failure::Failure;

use super::manifest::{Checksums, Database, Sequence, Table};

/// A moment of the database that another program can look at as well, for as long as the session's
/// transaction is open.
#[derive(Debug)]
pub struct Snapshot {
    /// For pg_dump's `--snapshot`.
    pub id: String,
    /// By the server's clock.
    pub taken_at: DateTime<Utc>,
    /// Its place in the write-ahead log.
    pub lsn: Option<String>,
    /// The database.
    pub database: Database,
    /// Where its sequences stood, or stand by now.
    pub sequences: Vec<Sequence>,
    /// Who owns or was granted something.
    pub roles: Vec<String>,
    /// Schema `public`.
    pub catalogue: Catalogue,
    /// What else decides over a migration, as [`catalogue::beside_sql`] has it.
    pub beside: String,
    /// Its tables, in the order of their names.
    tables: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    name: String,
    row_text: String,
}

const WHAT: &str = "cannot take a snapshot of the database";

/// Opens a transaction and exports its snapshot.
pub async fn snapshot(session: &Session, timeouts: Timeouts) -> Result<Snapshot, Failure> {
    snapshot_without(session, timeouts, &[]).await
}

/// The same, where some columns of tables in schema `public` are not there to be digested.
pub(super) async fn snapshot_without(
    session: &Session,
    timeouts: Timeouts,
    columns: &[(String, String)],
) -> Result<Snapshot, Failure> {
    let tables = include_str!("tables.sql").replace("%LEFT_OUT%", &left_out(columns));
    let sql = format!(
        "SET LOCAL TimeZone = 'UTC';SET LOCAL IntervalStyle = 'postgres';SET LOCAL bytea_output = 'hex';\
         SET LOCAL extra_float_digits = 1;SET LOCAL jit = off;{};{};{};{};{};{}",
        include_str!("snapshot.sql"),
        tables,
        include_str!("sequences.sql"),
        include_str!("roles.sql"),
        catalogue::sql(),
        catalogue::beside_sql(),
    );
    // Counting takes as long as the tables are large.
    let timeouts = Timeouts { statement: std::time::Duration::ZERO, ..timeouts };
    let sets = session.begin_within(Mode::Held, timeouts, WHAT, &sql).await?;
    let [.., about, tables, sequences, roles, catalogue, beside] = sets.as_slice() else {
        return Err(Failure::unexpected(WHAT).because("the server said nothing of itself"));
    };
    let row = about.first().ok_or_else(|| Failure::unexpected(WHAT).because("no such database"))?;
    let text = |name: &str| row.get(name).unwrap_or_default().to_owned();
    let taken_at = DateTime::parse_from_str(&text("taken_at"), "%Y-%m-%d %H:%M:%S%.f%#z")
        .map_err(|error| Failure::unexpected(WHAT).because(error))?;
    let facts = &session.facts;
    Ok(Snapshot {
        id: text("snapshot"),
        taken_at: taken_at.to_utc(),
        lsn: row.get("lsn").map(str::to_owned),
        database: Database {
            name: facts.database.clone(),
            oid: text("oid").parse().unwrap_or_default(),
            system_identifier: facts.system_identifier.clone(),
            server_version: facts.server_version.clone(),
            encoding: text("encoding"),
            collate: text("collate"),
            ctype: text("ctype"),
            owner: text("owner"),
            bytes: text("bytes").parse().unwrap_or_default(),
        },
        sequences: sequences
            .iter()
            .map(|row| Sequence {
                name: row.get("name").unwrap_or_default().to_owned(),
                last_value: row.get("last_value").and_then(|value| value.parse().ok()),
                descends: row.get("descends") == Some("t"),
                cycles: row.get("cycles") == Some("t"),
            })
            .collect(),
        roles: roles.iter().filter_map(|row| row.get("name")).map(str::to_owned).collect(),
        catalogue: Catalogue::from_rows(Some(catalogue))?,
        beside: beside.first().and_then(|row| row.get("beside")).unwrap_or_default().to_owned(),
        tables: tables
            .iter()
            .map(|row| Wanted {
                name: row.get("name").unwrap_or_default().to_owned(),
                row_text: row.get("row_text").unwrap_or_default().to_owned(),
            })
            .collect(),
    })
}

/// The end of a condition on columns `a` of tables `c`.
fn left_out(columns: &[(String, String)]) -> String {
    let named = columns.iter().map(|(table, column)| {
        format!("(c.relname = {} AND a.attname = {})", literal(table), literal(column))
    });
    match columns {
        [] => String::new(),
        _ => format!(
            "\n                   AND NOT (n.nspname = 'public' AND ({}))",
            named.collect::<Vec<_>>().join(" OR ")
        ),
    }
}

impl Snapshot {
    /// Counts, or digests, what is in each table, on the session that holds the snapshot.
    pub async fn tables(
        &self,
        session: &Session,
        checksums: Checksums,
    ) -> Result<Vec<Table>, Failure> {
        if checksums == Checksums::Counts {
            // The cores are pg_dump's: more processes would only cost more.
            let alone = "SET LOCAL max_parallel_workers_per_gather = 0";
            session.run("cannot count the rows", alone).await?;
        }
        let mut tables = Vec::with_capacity(self.tables.len());
        for wanted in &self.tables {
            let mut table = Table { name: wanted.name.clone(), rows: None, checksum: None };
            if checksums != Checksums::None {
                let what = format!("cannot count the rows of {}", wanted.name);
                let sets = session.run(&what, &wanted.sql(checksums)).await?;
                let row = sets.first().and_then(|rows| rows.first());
                let cell = |at: usize| row.and_then(|row| row.try_get(at).ok().flatten());
                table.rows = cell(0).and_then(|count| count.parse().ok());
                table.checksum = cell(1).map(str::to_owned);
            }
            tables.push(table);
        }
        Ok(tables)
    }
}

impl Wanted {
    /// The sum of both halves of each row's MD5: no order matters, and equal rows count. Without
    /// `OFFSET 0` the digest would be computed anew for each half.
    fn sql(&self, checksums: Checksums) -> String {
        let name = &self.name;
        if checksums != Checksums::Full {
            return format!("SELECT count(*) FROM ONLY {name}");
        }
        format!(
            "SELECT count(*), \
                    concat(coalesce(sum(('x' || left(d, 16))::bit(64)::bigint), 0), ':', \
                           coalesce(sum(('x' || right(d, 16))::bit(64)::bigint), 0)) \
               FROM (SELECT md5({}) AS d FROM ONLY {name} t OFFSET 0) digests",
            self.row_text
        )
    }
}

/// Records the backup where the app's admin page lists them. Whose it is: the oldest admin's, and the
/// description says who it really was.
pub async fn record(
    session: &Session,
    timeouts: Timeouts,
    filename: &str,
    bytes: u64,
    description: &str,
    origin: &Origin,
) -> Result<bool, Failure> {
    const WHAT: &str = "cannot record the backup in db_backup";
    let relations = "SELECT to_regclass('public.db_backup')::oid AS oid, true AS written \
                      UNION ALL SELECT to_regclass('public.\"user\"')::oid, false";
    let strangers = foreign::strangers(relations, "false");
    let look = include_str!("listed.sql").replace("%STRANGERS%", &strangers);
    let sets = session.begin_within(Mode::Write, timeouts, WHAT, &look).await?;
    let Some(row) = sets.last().and_then(|rows| rows.first()) else {
        session.end().await;
        return Ok(false);
    };
    if row.get("plain") != Some("t") {
        session.end().await;
        return Err(Failure::refused(WHAT).because(
            "db_backup or \"user\" carries code that is not the app's (a trigger, a rule, an index on an expression): it is not run",
        ));
    }
    let role = match (row.get("owner"), row.get("ours")) {
        (Some(owner), Some("f")) => format!("SET LOCAL ROLE {};", quoted(owner)),
        _ => String::new(),
    };
    let sql = format!(
        "{role}INSERT INTO public.db_backup (filename, file_size, created_by_admin_id, description) \
         SELECT {}, {bytes}, id, {} FROM public.\"user\" WHERE concat(role) = 'admin' \
          ORDER BY created_at, id COLLATE \"C\" LIMIT 1 RETURNING id",
        literal(filename),
        literal(description),
    );
    let recorded = async {
        let sets = session.run(WHAT, &sql).await?;
        let recorded = sets.iter().any(|rows| !rows.is_empty());
        if recorded {
            let detail = serde_json::json!({ "bytes": bytes }).to_string();
            let record = Record {
                command: "backup",
                subject: Some(filename),
                outcome: "done",
                detail: Some(&detail),
            };
            ledger::append(session, origin, &record).await?;
        }
        session.commit(WHAT, "COMMIT").await.map(|_| recorded)
    };
    let recorded = recorded.await;
    if recorded.is_err() {
        session.roll_back().await;
    }
    recorded
}
