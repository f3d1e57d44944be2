//! CloudFormation's notifications: lines of `Key='value'`
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rollback-triggers.html> speaks of them; the form is observed).

use std::collections::HashMap;

use domain::lifecycle::{Operation, ResourceFailure, StackNews};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A notification that says something of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackNotification {
    /// The stack's name.
    pub stack_name: String,
    /// What it says.
    pub news: News,
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// How the stack as a whole is.
    Stack(StackNews),
    /// A resource of the stack has failed, and why.
    ResourceFailed(ResourceFailure),
}

/// Why a message is not one to act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// About a resource within a stack that has not failed by itself.
    #[error("about a resource, not a stack")]
    Resource,
    /// Something that it must say is missing.
    #[error("says no {0}")]
    Missing(&'static str),
    /// A status that none of our operations leads to.
    #[error(transparent)]
    Status(#[from] domain::lifecycle::UnknownStackStatus),
}

/// Reads a notification. `received_at` stands in for a time that cannot be read.
///
/// # Errors
/// See [`Ignored`].
pub fn parse(message: &str, received_at: OffsetDateTime) -> Result<StackNotification, Ignored> {
    let fields = fields(message);
    let field = |name: &'static str| fields.get(name).filter(|value| !value.is_empty()).ok_or(Ignored::Missing(name));
    let resource_type = field("ResourceType")?;
    let (stack_name, stack_id, status) = (field("StackName")?.clone(), field("StackId")?.clone(), field("ResourceStatus")?);
    let reason = fields.get("ResourceStatusReason").filter(|reason| !reason.is_empty()).cloned();
    let said_at = fields.get("Timestamp").and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let at = said_at.unwrap_or(received_at);
    // A request without a token is said to have the token null.
    let token = fields.get("ClientRequestToken").filter(|token| !token.is_empty() && *token != "null").cloned();
    let is_the_stack = resource_type == "AWS::CloudFormation::Stack" && fields.get("PhysicalResourceId").is_none_or(|id| *id == stack_id);
    if is_the_stack {
        return Ok(StackNotification { stack_name, news: News::Stack(StackNews { stack_id, status: status.parse()?, reason, token, at }) });
    }
    let operation = match status.as_str() {
        "CREATE_FAILED" => Operation::Create,
        "UPDATE_FAILED" => Operation::Update,
        "DELETE_FAILED" => Operation::Delete,
        _ => return Err(Ignored::Resource),
    };
    match reason.filter(|reason| !reason.contains("cancelled")) {
        Some(reason) => {
            let resource = fields.get("LogicalResourceId").map_or("a resource", String::as_str);
            let reason = format!("{resource}: {reason}");
            Ok(StackNotification { stack_name, news: News::ResourceFailed(ResourceFailure { stack_id, operation, reason, token, at }) })
        }
        None => Err(Ignored::Resource),
    }
}

/// `Key='value'` lines. A value may run over several lines: it ends with a quote at the end of a line that the next key follows.
fn fields(message: &str) -> HashMap<&str, String> {
    let mut fields: HashMap<&str, String> = HashMap::new();
    let mut current: Option<&str> = None;
    for line in message.lines() {
        match (line.split_once("='"), current) {
            (Some((key, value)), _) if key.chars().all(|letter| letter.is_ascii_alphanumeric()) && !key.is_empty() => {
                fields.insert(key, value.to_owned());
                current = Some(key);
            }
            (_, Some(key)) => {
                if let Some(value) = fields.get_mut(key) {
                    value.push('\n');
                    value.push_str(line);
                }
            }
            (_, None) => {}
        }
    }
    for value in fields.values_mut() {
        let trimmed = value.trim_end();
        *value = trimmed.strip_suffix('\'').unwrap_or(trimmed).to_owned();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::lifecycle::StackStatus;
    use time::macros::datetime;

    const RECEIVED: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn a_reason_of_several_lines_is_one_reason() {
        let message = "StackId='arn:1'\nTimestamp='2026-01-01T00:00:07.123Z'\nResourceStatus='ROLLBACK_IN_PROGRESS'\nResourceStatusReason='it's\nbroken = 'badly''\nResourceType='AWS::CloudFormation::Stack'\nStackName='mr-a'\n";
        let parsed = parse(message, RECEIVED).unwrap();
        let News::Stack(news) = parsed.news else { panic!("expected news of the stack") };
        assert_eq!(news.reason.as_deref(), Some("it's\nbroken = 'badly'"));
        assert_eq!(news.status, StackStatus::RollbackInProgress);
        assert_eq!(news.at, datetime!(2026-01-01 00:00:07.123 UTC));
    }

    #[test]
    fn a_resource_that_failed_by_itself_gives_the_reason() {
        let message = |reason: &str| {
            format!(
                "StackId='arn:1'\nResourceStatus='CREATE_FAILED'\nResourceStatusReason='{reason}'\nResourceType='AWS::Kinesis::Stream'\nLogicalResourceId='RawDataStream'\nStackName='mr-a'\n"
            )
        };
        let parsed = parse(&message("Limit exceeded"), RECEIVED).unwrap();
        let failure = ResourceFailure {
            stack_id: "arn:1".into(),
            operation: Operation::Create,
            reason: "RawDataStream: Limit exceeded".into(),
            token: None,
            at: RECEIVED,
        };
        assert_eq!(parsed.news, News::ResourceFailed(failure));
        assert_eq!(parse(&message("Resource creation cancelled"), RECEIVED), Err(Ignored::Resource));
    }

    #[test]
    fn a_notification_names_the_request_that_led_to_it() {
        let token = |line: &str| {
            let message = format!(
                "StackId='arn:1'\nResourceStatus='UPDATE_COMPLETE'\nResourceType='AWS::CloudFormation::Stack'\nStackName='mr-a'\n{line}"
            );
            let News::Stack(news) = parse(&message, RECEIVED).unwrap().news else { panic!("expected news of the stack") };
            news.token
        };
        assert_eq!(token("ClientRequestToken='update-0a'\n").as_deref(), Some("update-0a"));
        assert_eq!([token(""), token("ClientRequestToken='null'\n"), token("ClientRequestToken=''\n")], [None, None, None]);
    }

    #[test]
    fn what_is_not_about_a_whole_stack_is_ignored() {
        let resource = "StackId='arn:1'\nResourceStatus='CREATE_COMPLETE'\nResourceType='AWS::Kinesis::Stream'\nStackName='mr-a'\n";
        assert_eq!(parse(resource, RECEIVED), Err(Ignored::Resource));
        assert_eq!(parse("", RECEIVED), Err(Ignored::Missing("ResourceType")));
        assert_eq!(parse("hello\nworld", RECEIVED), Err(Ignored::Missing("ResourceType")));
        let import = "StackId='arn:1'\nResourceStatus='IMPORT_COMPLETE'\nResourceType='AWS::CloudFormation::Stack'\nStackName='mr-a'\n";
        assert!(matches!(parse(import, RECEIVED), Err(Ignored::Status(_))));
    }
}
