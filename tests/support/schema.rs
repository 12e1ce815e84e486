//! What a database holds: its catalogue, and a digest of every table's rows.

use std::collections::BTreeMap;

use markenmate::db::catalogue::{self, Catalogue};
use markenmate::migrations::registry;

use super::{TestDb, sql};

/// Schema `public` as the tool reads it.
pub fn catalogue(db: &TestDb) -> Catalogue {
    let rows = sql(db, &format!("SET search_path = pg_catalog; {}", catalogue::sql()));
    Catalogue::read(rows[0][0].as_deref().unwrap()).unwrap()
}

/// The same as a contract would have it: owners, increments and index names are not in one.
pub fn shape(db: &TestDb) -> Catalogue {
    let mut seen = catalogue(db);
    seen.others.clear();
    seen.own = None;
    seen.functions.values_mut().for_each(|function| function.owner = None);
    for table in seen.tables.values_mut() {
        table.owner = None;
        table.sequences.values_mut().for_each(|sequence| sequence.increment = None);
    }
    seen
}

/// Table by table: the number of rows, and a digest of the columns that the baseline has.
pub fn digests(db: &TestDb) -> BTreeMap<String, String> {
    let baseline = registry::find(1).unwrap().contract();
    let one = |(table, parts): (&String, &catalogue::Table)| {
        let columns: Vec<String> = parts.columns.keys().map(|c| format!("\"{c}\"")).collect();
        let rows = sql(
            db,
            &format!(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(d, '' ORDER BY d)), '') FROM \
                 (SELECT md5(ROW({})::text) AS d FROM public.\"{table}\") t",
                columns.join(", ")
            ),
        );
        (table.clone(), rows[0][0].clone().unwrap())
    };
    baseline.tables.iter().map(one).collect()
}
