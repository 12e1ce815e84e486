//! A restore test where no server is installed: into a scratch database on the server that is named, if
//! somebody agrees to that.

use std::path::Path;

use serde_json::json;

use crate::backup::preflight::{self, Live};
use crate::backup::proof::Backup;
use crate::backup::restore::{self, Hands, How, Source};
use crate::backup::restored::{self, Owners};
use crate::backup::staging::Maintenance;
use crate::context::Context;
use crate::db::session::Session;
use crate::failure::{Failure, Kind};
use crate::pipeline;
use crate::plan::{Plan, Risk, Step};
use crate::report::Finding;

/// Restores, compares and drops. `why` it is not done here is the refusal where it cannot be done there.
pub(super) async fn restore_test(
    cx: &Context,
    backup: &Backup,
    identity: Option<&Path>,
    why: Failure,
) -> Result<Vec<Finding>, Failure> {
    if cx.endpoint.is_err() {
        return Err(why.hint("or name a server, for a scratch database there: -d URL --yes"));
    }
    let session = pipeline::connect(cx, &mut None).await?;
    session.facts.check_writable()?;
    agree(cx, &session, why).await?;
    let identity = identity.map(Path::to_path_buf);
    let how = How { jobs: 2, identity, without_tablespaces: true };
    let source = Source::Proven(Box::new(backup.clone()));
    let extensions = source.extensions(cx, &how).await?;
    let live = Live::look(&session, &backup.manifest.roles, &extensions).await?;
    // It takes no name away: whose database this is does not matter, nor what is prepared in it.
    let live = Live {
        owns: true,
        prepared: 0,
        owner: live.user.clone(),
        app_owner: source.owner_of_users().map(str::to_owned),
        ..live
    };
    let obstacles = preflight::obstacles(&source, &live, live.free_bytes(&session));
    if !obstacles.is_empty() {
        let what = format!("{} cannot be restored there", backup.path.display());
        return Err(Failure::refused(what).with_findings(obstacles));
    }
    let maintenance = Maintenance::enter(cx, &session, &live).await?;
    maintenance.leavings("").await?;
    let staged = maintenance.create_scratch(cx, &backup.manifest.database).await?;
    let compared = async {
        let session = maintenance.connect(cx, &staged).await?;
        restore::into(cx, Hands::of(&session), &source, &how).await?;
        let session = maintenance.connect(cx, &staged).await?;
        restored::compare_with(&session, &backup.manifest, Owners::Anybody).await
    };
    let compared = compared.await;
    maintenance.drop(&staged.name).await?;
    compared
}

async fn agree(cx: &Context, session: &Session, why: Failure) -> Result<(), Failure> {
    let phrase = pipeline::phrase_for(session);
    cx.console.say(&format!("no restore on this machine: {why}"));
    let plan = Plan {
        work: (),
        steps: vec![Step::new(
            "scratch",
            format!(
                "restore it into a scratch database beside {:?}, compare, and drop it",
                session.facts.database
            ),
            Risk::Additive,
        )],
        screen: Vec::new(),
        findings: Vec::new(),
        question: format!(
            "Use a scratch database on {}:{}? It takes room and work there.",
            session.host, session.port
        ),
        asks_later: false,
        data: json!({}),
        next: None,
    };
    match pipeline::consent(cx, &phrase, &plan).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Failure::refused("not confirmed; nothing was restored")),
        Err(failure) if failure.kind != Kind::Refused => Err(failure),
        Err(_) => Err(why.hint("or in a scratch database on the server that -d names: --yes")),
    }
}
