//! CloudFormation's notifications: lines of `Key='value'`
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rollback-triggers.html> speaks of them; the form is observed).

use std::collections::HashMap;

use domain::lifecycle::StackNews;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A notification about a stack as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackNotification {
    /// The stack's name.
    pub stack_name: String,
    /// What it says.
    pub news: StackNews,
}

/// Why a message is not one to act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// About a resource within a stack.
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
    if field("ResourceType")? != "AWS::CloudFormation::Stack" {
        return Err(Ignored::Resource);
    }
    let stack_id = field("StackId")?.clone();
    // Within a stack there may be stacks; ours have none, but another's topic message must not be taken for ours.
    if fields.get("PhysicalResourceId").is_some_and(|id| *id != stack_id) {
        return Err(Ignored::Resource);
    }
    let status = field("ResourceStatus")?.parse()?;
    let said_at = fields.get("Timestamp").and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let reason = fields.get("ResourceStatusReason").filter(|reason| !reason.is_empty()).cloned();
    Ok(StackNotification {
        stack_name: field("StackName")?.clone(),
        news: StackNews { stack_id, status, reason, at: said_at.unwrap_or(received_at) },
    })
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
        assert_eq!(parsed.news.reason.as_deref(), Some("it's\nbroken = 'badly'"));
        assert_eq!(parsed.news.status, StackStatus::RollbackInProgress);
        assert_eq!(parsed.news.at, datetime!(2026-01-01 00:00:07.123 UTC));
    }

    #[test]
    fn what_is_not_about_a_whole_stack_is_ignored() {
        let resource = "StackId='arn:1'\nResourceStatus='CREATE_COMPLETE'\nResourceType='AWS::Kinesis::Stream'\nStackName='mr-a'\n";
        assert_eq!(parse(resource, RECEIVED), Err(Ignored::Resource));
        assert_eq!(parse("", RECEIVED), Err(Ignored::Missing("ResourceType")));
        assert_eq!(parse("hello\nworld", RECEIVED), Err(Ignored::Missing("ResourceType")));
        let update = "StackId='arn:1'\nResourceStatus='UPDATE_COMPLETE'\nResourceType='AWS::CloudFormation::Stack'\nStackName='mr-a'\n";
        assert!(matches!(parse(update, RECEIVED), Err(Ignored::Status(_))));
    }
}
