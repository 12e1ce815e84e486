//! Schema `markenmate` by itself, for the application's database that must be mended before it can be migrated: what
//! is taken out of its tables is kept and written down there.

use crate::context::Context;
use crate::db::catalogue::{Difference, compare};
use crate::db::ledger::{self, Record};
use crate::db::patience::{Attempt, Patience, Setback};
use crate::db::session::Session;
use crate::failure::Failure;

use super::plan::{SchemaBy, Work, refuse, refuse_damage_or_denial};
use super::standing::{State, standing};
use super::survey::Survey;
use super::{commit, registry, run};

/// Who asks for it.
const COMMAND: &str = "cleanup";

/// What brings schema `markenmate` up to date, and nothing else. Pure.
///
/// # Errors
/// Refused (4): the history is not to be trusted, it may be another application's database, a privilege is missing.
pub fn decide(survey: &Survey) -> Result<Work, Failure> {
    refuse_damage_or_denial(survey)?;
    let recorded = |version| survey.histories.own.iter().any(|row| row.number() == Some(version));
    let own: Vec<i32> =
        registry::OWN.iter().map(|e| e.version).filter(|version| !recorded(*version)).collect();
    let Some(catalogue) = survey.catalogue.as_ref().filter(|_| !own.is_empty()) else {
        return Ok(Work::default());
    };
    let standing = standing(&survey.histories, catalogue);
    if standing.state == State::Newer || standing.findings.iter().any(|f| f.id == "history") {
        refuse(&standing, survey, "markenmate cleanup orphans")?;
    }
    let baseline = registry::APP.iter().take(1).flat_map(|e| compare(e.contract(), catalogue));
    if let Some(lacking) = baseline.into_iter().find(|difference| !is_constraint(difference)) {
        return Err(Failure::refused("this is not known to be the application's database")
            .because(format!("{}: {}", lacking.subject, lacking.detail))
            .hint("mend that first: markenmate status shows all that is missing"));
    }
    survey.rights.check("set up schema markenmate in", &survey.database)?;
    let owner = survey.rights.owner().to_owned();
    Ok(Work {
        become_owner: owner != survey.rights.user,
        create_schema: match (&survey.rights.own_schema_owner, survey.rights.user_creates_schemas) {
            (Some(_), _) => None,
            (None, true) => Some(SchemaBy::Ourselves),
            (None, false) => Some(SchemaBy::Owner),
        },
        owner,
        own,
        ..Work::default()
    })
}

/// What rows that point to nothing keep from being made or validated.
fn is_constraint(difference: &Difference) -> bool {
    difference.subject.starts_with("constraint ")
}

/// Does it, in one transaction under the lock between runs. False: another run came first.
///
/// # Errors
/// As [`decide`]; busy (7); the server's.
pub async fn set_up(cx: &Context, session: &Session) -> Result<bool, Failure> {
    let patience = Patience::new(session, &cx.console, &cx.interrupt, &[], cx.settings.max_wait);
    let tried = patience.exercise(async |attempt| once(cx, session, attempt).await);
    tried.await.map(|tried| tried.value)
}

async fn once(cx: &Context, session: &Session, attempt: Attempt) -> Result<bool, Setback> {
    let work = decide(&run::survey(session, attempt).await?);
    if work.as_ref().is_ok_and(Work::is_empty) {
        session.roll_back().await;
        return Ok(false);
    }
    let written = async {
        let work = work?;
        let timeline = run::prepare(cx, session, &work, attempt).await?;
        run::apply_own(session, &work.own).await?;
        run::record(cx, session, COMMAND).await?;
        let detail = serde_json::json!({ "own": work.own }).to_string();
        let record = Record {
            command: COMMAND,
            subject: Some("schema markenmate"),
            outcome: "done",
            detail: Some(&detail),
        };
        ledger::append(session, &cx.origin(), &record).await?;
        Ok::<_, Failure>((work, timeline))
    };
    match written.await {
        Ok((work, timeline)) => {
            commit::commit(cx, session, &work.role(), timeline).await?;
            Ok(true)
        }
        Err(failure) => Err(run::given_up(session, failure.into()).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::catalogue::Catalogue;

    fn survey(change: impl Fn(&mut Catalogue)) -> Survey {
        let mut catalogue = registry::APP[0].contract().clone();
        change(&mut catalogue);
        let mut survey = Survey { catalogue: Some(catalogue), ..Survey::default() };
        survey.rights.user = "app".into();
        survey.rights.table_owner = Some("app".into());
        survey.rights.becomes_table_owner = true;
        survey.rights.user_creates_schemas = true;
        survey.rights.table_owner_creates_in_public = true;
        survey
    }

    #[test]
    fn only_keys_may_be_missing_or_differ() {
        let keyless = survey(|all| {
            for table in all.tables.values_mut() {
                table.constraints.retain(|_, c| c.kind != "foreign key");
            }
        });
        let work = decide(&keyless).unwrap();
        assert_eq!((work.own.len(), work.apply.len()), (registry::OWN.len(), 0));
        assert_eq!(work.create_schema, Some(SchemaBy::Ourselves));
        let other = survey(|all| {
            all.tables.get_mut("ticket").unwrap().columns.remove("title");
        });
        let refused = decide(&other).unwrap_err();
        assert!(refused.to_string().contains("public.ticket.title: missing"), "{refused}");
    }
}
