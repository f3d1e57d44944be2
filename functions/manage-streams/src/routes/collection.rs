//! The whole set of an owner's streams, declared at once.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json};
use domain::access::Caller;
use domain::collection::{Step, StreamName, plan};
use domain::config::FixedField;
use domain::declaration::{Declaration, Draft, Leniency};
use domain::document::StreamDocument;
use domain::ids::Owner;
use domain::limits::RETRY_AFTER_STACK;
use domain::provision::{ChangeFault, check_quiet};
use domain::record::StreamRecord;
use domain::text_tree::{Content, Node};
use futures::StreamExt;
use http_edge::stream::require_touch;
use http_edge::{ActingOwner, DocumentBody, Problem, ProblemBody};

use crate::context::Context;
use crate::flags::{Chilled, ConfirmDeleteAll, DryRun};
use crate::routes::checks::{Whose, checked};
use crate::routes::refusal::Refusal;
use crate::routes::streams::check_reserved;
use crate::views::{LintingErrors, SetOut};

/// Streams in one set. Ours: each costs a few calls, and API Gateway waits 30 s for the answer.
const MAX_STREAMS: usize = 100;

/// Streams that are changed at a time.
const AT_A_TIME: usize = 8;

/// Sets the whole collection: streams that are not declared are removed with their sinks, those that are there are updated, others are
/// created.
///
/// Keys are those of the list: `id` for the newest version, `id/version` for any. Everything is checked and planned before the first
/// stream is touched. Data stays in S3 whatever is removed.
#[utoipa::path(
    post,
    path = "/streams",
    tag = "streams",
    params(
        ("owner" = Option<String>, Query, description = "An admin may name another owner"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make a stream impossible"),
        ("dry_run" = Option<bool>, Query, description = "Answers the plan and changes nothing"),
        ("confirm" = Option<String>, Query, description = "`delete-all`: needed for an empty set"),
    ),
    request_body(content = BTreeMap<String, StreamDocument>, description = "Stream documents by name, JSON or YAML"),
    responses(
        (status = 200, description = "What was done, or would be", body = SetOut),
        (status = 400, description = "Faults in the documents, each with the stream's name, or an empty set without `confirm`", body = LintingErrors),
        (status = 409, description = "`errors` names each stream that cannot change now; nothing was done, or `detail` says that the others were changed", body = ProblemBody),
        (status = "default", description = "401, 403, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn set_streams(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    ActingOwner(owner): ActingOwner,
    Chilled(leniency): Chilled,
    DryRun(is_dry_run): DryRun,
    ConfirmDeleteAll(is_confirmed): ConfirmDeleteAll,
    DocumentBody(body): DocumentBody,
) -> Result<Json<SetOut>, Refusal> {
    let tree = Node::parse(&body).map_err(|bad| Refusal::document(vec![bad.to_string()]))?;
    let declared = declarations(Scope { context: &context, caller: &caller, owner: &owner }, tree, leniency).await?;
    if declared.is_empty() && !is_confirmed {
        let detail = "an empty set removes every stream: expected ?confirm=delete-all with it";
        return Err(Problem::bad_request(detail).with_error("/confirm", detail).into());
    }
    let mut existing = Vec::new();
    for record in context.streams.list(&owner).await?.into_iter().filter(|record| caller.may_touch(&record.key.id)) {
        existing.extend(context.provisioning().reconcile(record).await?);
    }
    let provisioning = context.provisioning();
    let has_sinks_as_wanted = |record: &StreamRecord, wanted: &StreamDocument| provisioning.has_sinks_as_wanted(record, wanted);
    let steps = plan(existing, declared, has_sinks_as_wanted).map_err(|twice| Refusal::document(vec![twice.to_string()]))?;
    check(&context, &steps)?;
    let done = SetOut::new(&steps, is_dry_run);
    if is_dry_run {
        return Ok(Json(done));
    }
    let makes = |step: &Step| !matches!(step, Step::Delete(_));
    let (made, deleted): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(makes);
    // What is to go stays if something could not come.
    for part in [made, deleted] {
        carry_out(&context, &caller, &owner, part).await?;
    }
    Ok(Json(done))
}

/// Who sets whose streams.
#[derive(Clone, Copy)]
struct Scope<'s> {
    context: &'s Context,
    caller: &'s Caller,
    owner: &'s Owner,
}

type Declared = Vec<(StreamName, Declaration)>;

/// Reads every document; faults of one stream do not hide those of another.
async fn declarations(scope: Scope<'_>, tree: Node, leniency: Leniency) -> Result<Declared, Refusal> {
    let Scope { context, caller, owner } = scope;
    let place = tree.place;
    let Content::Map(members) = tree.content else {
        return Err(Refusal::document(vec![format!("{place} expected an object of stream documents by name")]));
    };
    if members.len() > MAX_STREAMS {
        return Err(Refusal::document(vec![format!("{place} expected at most {MAX_STREAMS} streams, got {}", members.len())]));
    }
    let (mut declared, mut faults) = (Vec::new(), Vec::new());
    for member in members {
        let name = match StreamName::parse(&member.name).and_then(|name| check_reserved(&name.id).map(|()| name)) {
            Ok(name) => name,
            Err(fault) => {
                faults.push(format!("{} {fault}", member.place));
                continue;
            }
        };
        require_touch(caller, &name.id)?;
        match checked(context, Whose { owner, stream: None }, Draft::read(member.value, leniency)).await {
            Ok(declaration) => declared.push((name, declaration)),
            Err(Refusal::Document(LintingErrors { linting_errors })) => {
                faults.extend(linting_errors.iter().map(|fault| named(&member.name, fault)));
            }
            Err(other) => return Err(other),
        }
    }
    if faults.is_empty() { Ok(declared) } else { Err(Refusal::document(faults)) }
}

/// `(1,2) fault` becomes `(1,2) name: fault`.
fn named(name: &str, fault: &str) -> String {
    match fault.split_once(' ') {
        Some((place, fault)) if place.starts_with('(') => format!("{place} {name}: {fault}"),
        _ => format!("{name}: {fault}"),
    }
}

/// Refuses the plan as a whole if a step of it could not be made now.
fn check(context: &Context, steps: &[Step]) -> Result<(), Refusal> {
    let (mut documents, mut refused) = (Vec::new(), Refused::default());
    for step in steps {
        let checked = match step {
            Step::Create(..) | Step::Keep(_) => Ok(()),
            Step::Update(record, declared) => context.provisioning().check_update(record, &declared.document),
            Step::Delete(record) => check_quiet(record),
        };
        match checked {
            Ok(()) => {}
            Err(ChangeFault::Fixed(FixedField::ByStream(fault))) => documents.push(named(&step.key().to_string(), &fault)),
            Err(fault) => refused.add(step, fault),
        }
    }
    if !documents.is_empty() {
        return Err(Refusal::document(documents));
    }
    refused.finish("nothing was changed")
}

async fn carry_out(context: &Context, caller: &Caller, owner: &Owner, steps: Vec<Step>) -> Result<(), Refusal> {
    let attempts = steps.into_iter().map(|step| async move {
        let attempt = attempt(context, caller, owner, &step).await;
        (step, attempt)
    });
    let mut refused = Refused::default();
    for (step, attempt) in futures::stream::iter(attempts).buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await {
        if let Err(fault) = attempt {
            refused.add(&step, fault);
        }
    }
    refused.finish("those were left as they are, others were changed; send the set again for the rest")
}

async fn attempt(context: &Context, caller: &Caller, owner: &Owner, step: &Step) -> Result<(), ChangeFault> {
    let provisioning = context.provisioning();
    match step {
        Step::Keep(_) => Ok(()),
        Step::Create(key, declared) => {
            provisioning.create_stream(caller, owner.clone(), key.clone(), declared.as_ref().clone()).await.map(drop)
        }
        Step::Update(found, declared) => {
            provisioning.update_stream(caller, found.as_ref().clone(), declared.as_ref().clone()).await.map(drop)
        }
        Step::Delete(found) => provisioning.delete_stream(caller, found.as_ref().clone(), true).await.map(drop),
    }
}

/// Streams that could not be changed, and why.
#[derive(Default)]
struct Refused(BTreeMap<String, ChangeFault>);

impl Refused {
    fn add(&mut self, step: &Step, fault: ChangeFault) {
        self.0.insert(step.key().to_string(), fault);
    }

    /// One problem that names them all. When the store failed, that is all that can be said for certain.
    fn finish(self, rest: &str) -> Result<(), Refusal> {
        let Self(faults) = self;
        if faults.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = faults.keys().map(String::as_str).collect();
        let detail = format!("{} cannot be changed now: {rest}", names.join(", "));
        let mut problem = Problem::conflict(detail).with_retry_after(RETRY_AFTER_STACK);
        for (name, fault) in faults {
            match fault {
                ChangeFault::Store(fault) => return Err(fault.into()),
                other => problem = problem.with_error(format!("/{}", name.replace('~', "~0").replace('/', "~1")), other.to_string()),
            }
        }
        Err(problem.into())
    }
}
