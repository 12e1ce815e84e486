//! `admin list`: reads only; also on a standby, for a reader, and in any version.

use serde_json::json;

use crate::admin::list::{self, Admin};
use crate::context::Context;
use crate::db::patience::{Attempt, Setback};
use crate::db::session::Session;
use crate::failure::Failure;
use crate::pipeline::{Access, Operation};
use crate::plan::{Plan, Risk, Step};
use crate::report::{Block, Next, Outcome, Report};

/// The command.
#[derive(Debug, Default)]
pub struct List {}

impl Operation for List {
    type State = Vec<Admin>;
    type Work = Vec<Admin>;

    fn access(&self) -> Access {
        Access::Read
    }

    fn waits_for(&self) -> &'static [&'static str] {
        &["user", "account", "session"]
    }

    async fn inspect(
        &self,
        _cx: &Context,
        session: &Session,
        attempt: Attempt,
    ) -> Result<Vec<Admin>, Setback> {
        Ok(list::admins(session, attempt.timeouts).await?)
    }

    fn plan(&self, _cx: &Context, admins: &Vec<Admin>) -> Result<Plan<Vec<Admin>>, Failure> {
        Ok(Plan {
            work: admins.clone(),
            steps: vec![Step::new("list", "list the admins", Risk::ReadOnly)],
            screen: Vec::new(),
            findings: Vec::new(),
            question: String::new(),
            asks_later: false,
            data: json!({}),
            next: None,
        })
    }

    async fn execute(
        &self,
        _cx: &Context,
        _session: &Session,
        plan: Plan<Vec<Admin>>,
    ) -> Result<Report, Failure> {
        let admins = plan.work;
        let mut report = Report::new(Outcome::Done);
        report.data = json!({ "admins": admins });
        if admins.is_empty() {
            report.body.push(Block::Text("there is no admin".into()));
            report.next = Some(Next::after(
                "sign up in the app",
                "markenmate admin promote USER --break-glass --reason TEXT",
            ));
            return Ok(report);
        }
        let columns = ["email", "name", "role", "master", "created", "password", "sessions", "id"];
        report.body.push(Block::Table {
            columns: columns.map(str::to_owned).to_vec(),
            rows: admins.iter().map(row).collect(),
        });
        if !admins.iter().any(|admin| admin.is_master_admin == Some(true)) {
            let known = admins.iter().any(|admin| admin.is_master_admin.is_some());
            let next = if known { "set-master-admin" } else { "migrate" };
            report.next = Some(Next::run(format!("markenmate {next}")));
        }
        Ok(report)
    }
}

fn row(admin: &Admin) -> Vec<String> {
    let known = |yes: Option<bool>| match yes {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => "?".to_owned(),
    };
    vec![
        admin.email.clone(),
        admin.name.clone(),
        admin.role.clone(),
        admin.is_master_admin.map_or_else(|| "-".to_owned(), |yes| known(Some(yes))),
        admin.created_at.clone().unwrap_or_else(|| "?".into()),
        known(admin.has_password),
        admin.sessions.map_or_else(|| "?".to_owned(), |count| count.to_string()),
        admin.id.clone(),
    ]
}
