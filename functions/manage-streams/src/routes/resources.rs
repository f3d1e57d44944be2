//! Resources: add or change, show, remove.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::declaration::Leniency;
use domain::ids::Owner;
use domain::resource::{Resource, ResourceKey};
use domain::resource_declaration::ResourceDeclaration;
use domain::store::WriteFault;
use http::{StatusCode, header};
use http_edge::{DocumentBody, Problem, ProblemBody};
use serde_json::json;

use crate::context::Context;
use crate::entity_tag::{IfMatch, resource_tag};
use crate::flags::Chilled;
use crate::named_resource::{AuthorizedResource, NamedResource, ResourceManager, no_such_resource};
use crate::resource_views::{ResourceList, ResourceOut, ResourceSummary, by_type};
use crate::routes::checks::{Whose, check_size, named_resources};
use crate::routes::followers::Followers;
use crate::routes::refusal::Refusal;
use crate::views::LintingErrors;

/// Resources of one owner: their list fits one answer, and the owner's partition one reading. Ours.
pub const MAX_RESOURCES_PER_OWNER: usize = 500;

/// Users that are named in words; the member `used_by` names all.
const MAX_NAMED_USERS: usize = 10;

/// Lists the caller's resources, by type and id. A token that is limited to streams gets none.
#[utoipa::path(
    get,
    path = "/resources",
    tag = "resources",
    params(("owner" = Option<String>, Query, description = "An admin may name another owner")),
    responses(
        (status = 200, description = "The owner's resources: for every type, those of the type by their ids", body = BTreeMap<String, BTreeMap<String, ResourceSummary>>),
        (status = "default", description = "400, 401, 403, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn list_resources(State(context): State<Context>, manager: ResourceManager) -> Result<Json<ResourceList>, Problem> {
    Ok(Json(by_type(&context.resources.list_resources(&manager.owner).await?)))
}

/// Adds a resource, or gives one that exists another config, whole.
///
/// Streams whose `input` or `output` it is are updated with it, or the change is refused; other streams that name it follow within the
/// cache time, 30 s.
///
/// A resource is its owner's. A token that is limited to streams cannot manage resources, since other streams share them.
#[utoipa::path(
    post,
    path = "/resources/{type}/{id}",
    tag = "resources",
    params(
        ("type", description = "cache, input, output, processor or rate_limit"),
        ("id", description = "The resource's id", example = "my-limit"),
        ("owner" = Option<String>, Query, description = "An admin may name another owner"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the resource impossible"),
        ("If-Match" = Option<String>, Header, description = "Change only the resource that has this `ETag`"),
    ),
    request_body(
        content = serde_json::Value,
        description = "The component's config alone, JSON or YAML: a `CacheDocument`, an `Input`, an `Output`, a processor or a `RateLimitDocument`",
        example = json!({"local": {"count": 500, "interval": "1s"}}),
    ),
    responses(
        (status = 200, description = "The resource as it stands; its `ETag` can stand in `If-Match`", body = ResourceOut),
        (status = 400, description = "An unknown type or a bad id (problem+json), or faults in the config", body = LintingErrors),
        (status = 409, description = "Another change was first, or the owner has too many resources", body = ProblemBody),
        (status = 412, description = "The resource is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn put_resource(
    State(context): State<Context>,
    NamedResource { manager, key }: NamedResource,
    if_match: IfMatch,
    Chilled(leniency): Chilled,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Refusal> {
    let ResourceManager { caller, owner } = manager;
    let existing = context.resources.load_resource(&owner, &key).await?;
    if_match.check_resource(existing.as_ref())?;
    let declared = checked_resource(&context, &owner, &key, &body, leniency).await?;
    let now = context.system.now();
    let (written, resource) = match existing {
        Some(before) if before.says(&declared) => {
            // Streams that could not follow the last time do now.
            Followers::find(&context, &before).await?.update(&context, &caller).await?;
            return Ok(answer(&before));
        }
        Some(before) => {
            let after = before.changed(declared, &caller, now);
            // Refused before anything is changed.
            Followers::find(&context, &after).await?;
            (context.resources.replace_resource(&before, &after).await, after)
        }
        None => {
            check_room(&context, &owner).await?;
            let new = Resource::new(owner, key, declared, &caller, now);
            (context.resources.create_resource(&new).await, new)
        }
    };
    match written {
        Ok(()) => {
            // Looked for anew: one may have begun to use it in between.
            let stored = context.resources.load_resource(&resource.owner, &resource.key).await?.unwrap_or(resource);
            Followers::find(&context, &stored).await?.update(&context, &caller).await?;
            Ok(answer(&stored))
        }
        Err(WriteFault::Store(fault)) => Err(fault.into()),
        // With a condition, the caller learns whether it was the resource that changed.
        Err(WriteFault::Conflict) => {
            let now = context.resources.load_resource(&resource.owner, &resource.key).await?;
            if_match.check_resource(now.as_ref())?;
            Err(another_was_first().into())
        }
    }
}

/// Shows a resource, and who names it.
#[utoipa::path(
    get,
    path = "/resources/{type}/{id}",
    tag = "resources",
    params(
        ("type", description = "cache, input, output, processor or rate_limit"),
        ("id", description = "The resource's id"),
        ("owner" = Option<String>, Query, description = "An admin may name another owner"),
    ),
    responses(
        (status = 200, description = "The resource; its `ETag` can stand in `If-Match`", body = ResourceOut),
        (status = 400, description = "An unknown type", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn get_resource(AuthorizedResource(resource): AuthorizedResource) -> Response {
    answer(&resource)
}

/// Removes a resource that nobody names.
#[utoipa::path(
    delete,
    path = "/resources/{type}/{id}",
    tag = "resources",
    params(
        ("type", description = "cache, input, output, processor or rate_limit"),
        ("id", description = "The resource's id"),
        ("owner" = Option<String>, Query, description = "An admin may name another owner"),
        ("If-Match" = Option<String>, Header, description = "Remove only the resource that has this `ETag`"),
    ),
    responses(
        (status = 204, description = "The resource is gone"),
        (status = 400, description = "An unknown type", body = ProblemBody),
        (status = 409, description = "It is in use; the member `used_by` names the paths of its users. Or it was changed at the same time", body = ProblemBody),
        (status = 412, description = "The resource is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn delete_resource(
    State(context): State<Context>,
    AuthorizedResource(found): AuthorizedResource,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check_resource(Some(&found))?;
    check_unused(&found)?;
    match context.resources.remove_resource(&found).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(WriteFault::Store(fault)) => Err(fault.into()),
        // Somebody began to use it, changed it or removed it in between: the caller learns which.
        Err(WriteFault::Conflict) => {
            let now = context.resources.load_resource(&found.owner, &found.key).await?.ok_or_else(no_such_resource)?;
            if_match.check_resource(Some(&now))?;
            check_unused(&now)?;
            Err(another_was_first())
        }
    }
}

/// Makes every check of a resource.
async fn checked_resource(
    context: &Context,
    owner: &Owner,
    key: &ResourceKey,
    text: &str,
    leniency: Leniency,
) -> Result<ResourceDeclaration, Refusal> {
    let mut size = Ok(());
    let read = ResourceDeclaration::parse(key.kind, text, leniency, |draft| {
        // First, so that nobody's programs keep the compiler busy for long.
        size = check_size(&draft.tree().value());
        if size.is_ok() {
            let faults = pipeline::faults(draft.tree());
            draft.add(faults);
        }
    });
    size?;
    let declared = read.map_err(Refusal::document)?;
    check_size(&declared.posted)?;
    let named = declared.config.references();
    let known = named_resources(context, Whose { owner, stream: None }, named.clone()).await?;
    let unknown: Vec<String> =
        named.iter().filter(|key| !known.contains_key(key)).map(|key| format!("(1,1) {key} does not exist")).collect();
    if unknown.is_empty() { Ok(declared) } else { Err(Refusal::document(unknown)) }
}

fn answer(resource: &Resource) -> Response {
    ([(header::ETAG, resource_tag(resource))], Json(ResourceOut::new(resource))).into_response()
}

fn another_was_first() -> Problem {
    Problem::conflict("another change was made at the same time")
}

async fn check_room(context: &Context, owner: &Owner) -> Result<(), Problem> {
    if context.resources.list_resources(owner).await?.len() >= MAX_RESOURCES_PER_OWNER {
        return Err(Problem::conflict(format!("the owner has {MAX_RESOURCES_PER_OWNER} resources; delete some first")));
    }
    Ok(())
}

fn check_unused(resource: &Resource) -> Result<(), Problem> {
    if resource.used_by.is_empty() {
        return Ok(());
    }
    let users: Vec<String> = resource.used_by.iter().map(ToString::to_string).collect();
    Err(Problem::conflict(in_use(&resource.key, &users)).with_member("used_by", json!(users)))
}

fn in_use(key: &ResourceKey, users: &[String]) -> String {
    let named = users.iter().take(MAX_NAMED_USERS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match users.len().saturating_sub(MAX_NAMED_USERS) {
        0 => format!("resource {key} is used by {named}"),
        more => format!("resource {key} is used by {named} and {more} more"),
    }
}
