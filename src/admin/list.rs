//! The admins of a database in any version.

use serde::Serialize;
use tokio_postgres::SimpleQueryRow;

use crate::db::session::{Mode, Session, Timeouts};
use crate::failure::Failure;

use super::standing::{self, Standing};

/// An admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// The user's id.
    pub id: String,
    /// The email address.
    pub email: String,
    /// The name.
    pub name: String,
    /// `admin`; another one only where the master admin has lost it.
    pub role: String,
    /// None where the column does not exist.
    pub is_master_admin: Option<bool>,
    /// RFC 3339, to the second.
    pub created_at: Option<String>,
    /// Can sign in with a password; none where that may not be read.
    pub has_password: Option<bool>,
    /// Sessions that are alive; none where they may not be read.
    pub sessions: Option<u64>,
}

const PASSWORD: &str = "(SELECT count(a.password) > 0 FROM public.account a \
                          WHERE a.user_id = u.id AND a.provider_id = 'credential')::text";
const SESSIONS: &str = "(SELECT count(*) FROM public.session s \
                          WHERE s.user_id = u.id AND s.expires_at > now())::text";

/// All admins, oldest first.
pub async fn admins(session: &Session, timeouts: Timeouts) -> Result<Vec<Admin>, Failure> {
    const WHAT: &str = "cannot list the admins";
    let sets = session.begin_within(Mode::Snapshot, timeouts, WHAT, standing::SQL).await?;
    let standing = Standing::of(&sets);
    let listed = async {
        standing.check_users()?;
        // A member who does not inherit reads nothing by itself.
        let acts = standing.role().is_some();
        standing.act_for_owner(session).await?;
        let known = |known, sql: &'static str| if known { sql } else { "NULL" };
        let master = standing.has_column("is_master_admin");
        let sql = include_str!("list.sql")
            .replace("%MASTER%", known(master, "u.is_master_admin::text::boolean"))
            .replace("%PASSWORD%", known(acts || standing.reads_accounts, PASSWORD))
            .replace("%SESSIONS%", known(acts || standing.reads_sessions, SESSIONS));
        session.run(WHAT, &sql).await
    };
    let listed = listed.await;
    session.end().await;
    Ok(listed?.iter().flatten().map(admin).collect())
}

fn admin(row: &SimpleQueryRow) -> Admin {
    let text = |name| row.get(name).map(str::to_owned);
    let yes = |name| row.get(name).map(|value| value == "true");
    Admin {
        id: text("id").unwrap_or_default(),
        email: text("email").unwrap_or_default(),
        name: text("name").unwrap_or_default(),
        role: text("role").unwrap_or_default(),
        is_master_admin: yes("is_master"),
        created_at: text("created_at"),
        has_password: yes("has_password"),
        sessions: row.get("sessions").and_then(|count| count.parse().ok()),
    }
}
