//! A fresh database a test, and SQL on it.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use markenmate::sandbox::Sandbox;
use markenmate::sandbox::sample::Sample;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::cluster;

/// One row as text, NULL as `None`.
pub type Row = Vec<Option<String>>;

/// A database of the shared server, dropped with everybody in it at the end of the test.
pub struct TestDb {
    pub name: String,
    /// A libpq URI: superuser, socket.
    pub url: String,
    folder: TempDir,
}

impl TestDb {
    /// A database without a table.
    pub fn empty() -> Self {
        Self::from_template(None)
    }

    /// The app's database before the guide's migration, with a small sample in it.
    pub fn baseline() -> Self {
        static TEMPLATE: OnceLock<&str> = OnceLock::new();
        Self::from_template(Some(TEMPLATE.get_or_init(|| baseline_template(cluster()))))
    }

    /// The baseline after the guide's migration, without a history: as the app's push makes it.
    pub fn hardened() -> Self {
        let db = Self::baseline();
        db.session().sql(&schema_file("V2__security_hardening.sql"));
        db
    }

    /// The baseline, brought to the latest version by the binary itself.
    pub fn migrated() -> Self {
        const NAME: &str = "migrated_template";
        static TEMPLATE: OnceLock<()> = OnceLock::new();
        TEMPLATE.get_or_init(|| {
            drop(Self::baseline());
            runtime().block_on(cluster().create_database(NAME, Some("baseline_template"))).unwrap();
            super::markenmate(&["migrate", "--yes"]).url(&cluster().url(NAME)).run().assert_code(0);
        });
        Self::from_template(Some(NAME))
    }

    /// A baseline under a name of the test's own.
    pub fn named(name: &str) -> Self {
        drop(Self::baseline());
        Self::create(name.to_owned(), Some("baseline_template"))
    }

    fn from_template(template: Option<&str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        Self::create(format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed)), template)
    }

    fn create(name: String, template: Option<&str>) -> Self {
        runtime().block_on(cluster().create_database(&name, template)).unwrap();
        let url = cluster().url(&name);
        Self { name, url, folder: TempDir::new().unwrap() }
    }

    /// The same database for another role.
    pub fn url_as(&self, role: &str) -> String {
        self.url.replacen("postgres@", &format!("{role}@"), 1)
    }

    /// A folder of this database's own: where the binary runs, so where its backups go.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection that stays open, to hold a lock for example.
    pub fn session(&self) -> Session {
        Session::open(&self.url)
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // A failing test must not fail twice.
        let _ = runtime().block_on(cluster().drop_database(&self.name));
    }
}

/// How many ordinary users [`TestDb::baseline`] has.
pub const BASELINE_USERS: u32 = 20;

/// A file of the folder `migrations`.
pub fn schema_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A new database on a server of the test's own, with these files of `migrations` run in it: its URL.
pub fn database_on(server: &Sandbox, name: &str, files: &[&str]) -> String {
    runtime().block_on(server.create_database(name, None)).unwrap();
    let url = server.url(name);
    let session = Session::open(&url);
    for file in files {
        session.sql(&schema_file(file));
    }
    url
}

fn baseline_template(cluster: &Sandbox) -> &'static str {
    const NAME: &str = "baseline_template";
    let schema = schema_file("V1__baseline.sql");
    let sample = Sample { users: BASELINE_USERS, orphans: false }.sql();
    runtime().block_on(async {
        cluster.create_database(NAME, None).await.unwrap();
        cluster.execute(NAME, &schema).await.unwrap();
        cluster.execute(NAME, &sample).await.unwrap();
    });
    NAME
}

/// Runs SQL and gives the rows of all its statements.
pub fn sql(db: &TestDb, text: &str) -> Vec<Row> {
    db.session().sql(text)
}

/// One connection. Between calls nobody reads from it: notices and cancellations wait.
pub struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    pub fn open(url: &str) -> Self {
        let runtime = runtime();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    /// Runs SQL that must succeed.
    #[track_caller]
    pub fn sql(&self, text: &str) -> Vec<Row> {
        match self.try_sql(text) {
            Ok(rows) => rows,
            Err(error) => panic!("{error:?}\nin: {text}"),
        }
    }

    /// Runs SQL that may fail.
    pub fn try_sql(&self, text: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
        let messages = self.runtime.block_on(self.client.simple_query(text))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
