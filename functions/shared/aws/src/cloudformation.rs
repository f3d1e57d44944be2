//! Runs the stacks of streams and sinks.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, OnFailure, Parameter, ResourceStatus, Stack, StackEvent, Tag};
use domain::lifecycle::StackNews;
use domain::provision::{ProvisionFault, StackProvisioner, Updated};
use domain::record::{Part, SinkKind};
use domain::stack_request::StackRequest;
use time::OffsetDateTime;

use crate::fault::is_throttling;

/// The templates of the stacks, as text.
#[derive(Debug, Clone, Copy)]
pub struct Templates {
    /// `infra/stacks/stream.yaml`
    pub stream: &'static str,
    /// `infra/stacks/sink-s3.yaml`
    pub sink_s3: &'static str,
}

/// CloudFormation, acting through the deployment's service role.
#[derive(Debug, Clone)]
pub struct CloudFormation {
    client: Client,
    templates: Templates,
    role_arn: String,
    topic_arn: String,
}

impl CloudFormation {
    /// Makes a client whose stacks use `role_arn` and report to `topic_arn`.
    pub fn new(config: &SdkConfig, templates: Templates, role_arn: String, topic_arn: String) -> Self {
        Self { client: Client::new(config), templates, role_arn, topic_arn }
    }

    async fn stack(&self, name_or_id: &str) -> Result<Option<Stack>, ProvisionFault> {
        match self.client.describe_stacks().stack_name(name_or_id).send().await {
            Ok(output) => Ok(output.stacks.unwrap_or_default().into_iter().next()),
            Err(error) if says_missing(&error) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// A stack of this name that was made for the same part of the same stream counts as the one asked for.
    async fn adopt(&self, request: &StackRequest) -> Result<String, ProvisionFault> {
        let existing = self.stack(&request.name).await?;
        let stack = existing.ok_or_else(|| ProvisionFault::Transient("the stack is there and is not".to_owned()))?;
        let is_ours = request
            .tags
            .iter()
            .filter(|(key, _)| key.starts_with("millrace:"))
            .all(|(key, value)| stack.tags().iter().any(|tag| tag.key() == Some(key.as_str()) && tag.value() == Some(value.as_str())));
        match stack.stack_id {
            Some(stack_id) if is_ours => Ok(stack_id),
            _ => Err(ProvisionFault::Refused(format!("a foreign stack has the name {}", request.name))),
        }
    }

    /// What the last operation on a stack said, the newest first, down to the event that it began with.
    async fn last_operation(&self, stack: &Stack) -> Result<Vec<StackEvent>, ProvisionFault> {
        // One page: an operation on our few resources says far less than the 100 events on it.
        let answer = self.client.describe_stack_events().stack_name(stack.stack_id().unwrap_or_default()).send().await;
        let mut events = answer.map_err(fault)?.stack_events.unwrap_or_default();
        if let Some(beginning) = events.iter().position(is_beginning) {
            events.truncate(beginning + 1);
        }
        Ok(events)
    }

    fn template(&self, part: Part) -> &'static str {
        match part {
            Part::Stream => self.templates.stream,
            Part::Sink(SinkKind::S3) => self.templates.sink_s3,
        }
    }
}

/// Whether an operation on the whole stack began with this event. A rollback is part of the operation that it ends, and so is an
/// operator's second try at it.
fn is_beginning(event: &StackEvent) -> bool {
    let is_the_stack = event.physical_resource_id().is_some() && event.physical_resource_id() == event.stack_id();
    let begins = matches!(
        event.resource_status(),
        Some(ResourceStatus::CreateInProgress | ResourceStatus::UpdateInProgress | ResourceStatus::DeleteInProgress)
    );
    is_the_stack && begins
}

/// Why an operation failed: the first of its resources that did, in CloudFormation's words.
fn first_failure(operation: &[StackEvent]) -> Option<String> {
    let event = operation.iter().rev().find(|event| is_own_failure(event))?;
    let resource = event.logical_resource_id().unwrap_or("stack");
    Some(format!("{resource}: {}", event.resource_status_reason().unwrap_or("no reason given")))
}

/// A failure of a resource itself, not of one that was cancelled because another failed.
fn is_own_failure(event: &StackEvent) -> bool {
    let has_failed =
        matches!(event.resource_status(), Some(ResourceStatus::CreateFailed | ResourceStatus::UpdateFailed | ResourceStatus::DeleteFailed));
    let was_cancelled = event.resource_status_reason().is_some_and(|reason| reason.contains("cancelled"));
    has_failed && !was_cancelled
}

fn parameters(request: &StackRequest) -> Vec<Parameter> {
    request.parameters.iter().map(|(key, value)| Parameter::builder().parameter_key(*key).parameter_value(value).build()).collect()
}

fn tags(request: &StackRequest) -> Vec<Tag> {
    request.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

#[async_trait::async_trait]
impl StackProvisioner for CloudFormation {
    async fn create(&self, request: &StackRequest) -> Result<String, ProvisionFault> {
        let answer = self
            .client
            .create_stack()
            .stack_name(&request.name)
            .template_body(self.template(request.part))
            .set_parameters(Some(parameters(request)))
            .set_tags(Some(tags(request)))
            .capabilities(Capability::CapabilityIam)
            .role_arn(&self.role_arn)
            .notification_arns(&self.topic_arn)
            .on_failure(OnFailure::Rollback)
            .client_request_token(&request.token)
            .send()
            .await;
        match answer {
            Ok(output) => output.stack_id.ok_or_else(|| ProvisionFault::Transient("no stack id in the answer".to_owned())),
            Err(error) if matches!(error.code(), Some("AlreadyExistsException" | "TokenAlreadyExistsException")) => {
                self.adopt(request).await
            }
            Err(error) => Err(fault(error)),
        }
    }

    async fn update(&self, request: &StackRequest, stack: &str) -> Result<Updated, ProvisionFault> {
        let answer = self
            .client
            .update_stack()
            .stack_name(stack)
            .template_body(self.template(request.part))
            .set_parameters(Some(parameters(request)))
            .set_tags(Some(tags(request)))
            .capabilities(Capability::CapabilityIam)
            .role_arn(&self.role_arn)
            .notification_arns(&self.topic_arn)
            .client_request_token(&request.token)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Updated::Started),
            Err(error) if error.code() == Some("TokenAlreadyExistsException") => Ok(Updated::Started),
            Err(error) if says(&error, "No updates are to be performed") => Ok(Updated::NothingToDo),
            Err(error) => Err(fault(error)),
        }
    }

    async fn delete(&self, stack: &str) -> Result<(), ProvisionFault> {
        let answer = self.client.delete_stack().stack_name(stack).send().await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if says_missing(&error) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }

    async fn describe(&self, stack: &str) -> Result<Option<StackNews>, ProvisionFault> {
        let Some(stack) = self.stack(stack).await? else { return Ok(None) };
        let Some(status) = stack.stack_status().and_then(|status| status.as_str().parse().ok()) else {
            return Err(ProvisionFault::Transient(format!("unexpected stack status {:?}", stack.stack_status())));
        };
        let said = stack.stack_status().map_or("", |status| status.as_str());
        let has_failed = said.contains("ROLLBACK") || said.ends_with("FAILED");
        let operation = if has_failed || said.contains("UPDATE") { self.last_operation(&stack).await? } else { Vec::new() };
        let reason = first_failure(&operation).or_else(|| stack.stack_status_reason().map(str::to_owned)).filter(|_| has_failed);
        let token = operation.last().filter(|event| is_beginning(event)).and_then(StackEvent::client_request_token).map(str::to_owned);
        let stack_id = stack.stack_id.ok_or_else(|| ProvisionFault::Transient("a stack without an id".to_owned()))?;
        Ok(Some(StackNews { stack_id, status, reason, token, at: OffsetDateTime::now_utc() }))
    }
}

fn says<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, words: &str) -> bool {
    error.code() == Some("ValidationError") && error.message().is_some_and(|message| message.contains(words))
}

fn says_missing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    says(error, "does not exist")
}

fn fault<E>(error: SdkError<E, HttpResponse>) -> ProvisionFault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    tracing::warn!(error = %DisplayErrorContext(&error), "cloudformation did not do what was asked");
    match (&error, error.code()) {
        // Something runs on the stack: "… is in UPDATE_COMPLETE_CLEANUP_IN_PROGRESS state and can not be updated."
        _ if says(&error, "_IN_PROGRESS state") => ProvisionFault::Transient(DisplayErrorContext(&error).to_string()),
        (SdkError::ServiceError(service), Some(code)) if !is_passing(code) && !service.raw().status().is_server_error() => {
            ProvisionFault::Refused(format!("{code}: {}", error.message().unwrap_or("no message")))
        }
        _ => ProvisionFault::Transient(DisplayErrorContext(&error).to_string()),
    }
}

/// Errors that say nothing about the stack that was asked for.
///
/// `LimitExceededException` is not among them: here it is a quota of stacks, which waiting does not lift.
fn is_passing(code: &str) -> bool {
    let is_too_fast = is_throttling(Some(code)) && code != "LimitExceededException";
    let is_other = matches!(
        code,
        "InternalFailure"
            | "ServiceUnavailable"
            | "OperationInProgressException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
    );
    is_too_fast || is_other
}
