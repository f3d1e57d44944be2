//! `ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1): a change that was decided on an old config is not made.
//!
//! The tag of a stream is the number of the config that was accepted last, so status changes leave it alone, and a stream that was made
//! anew never has an old one's. A config that CloudFormation refused or rolled back takes its tag with it: the one before is back.
//!
//! The tag of a resource is its revision, and that too is never an old resource's of the same name.

use axum::extract::FromRequestParts;
use domain::record::StreamRecord;
use domain::resource::Resource;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_edge::Problem;

/// A stream's entity tag, quotes and all.
pub fn entity_tag(record: &StreamRecord) -> String {
    format!("\"{}\"", record.wanted_config_version())
}

/// A resource's entity tag, quotes and all.
pub fn resource_tag(resource: &Resource) -> String {
    format!("\"{}\"", resource.revision)
}

/// What the caller thinks that the stream or resource is, if it says so.
#[derive(Debug)]
pub struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Lines of a list are one list (RFC 9110, 5.3). What is not text names no tag of ours.
        let lines: Vec<&str> = parts.headers.get_all(header::IF_MATCH).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        Ok(Self((!lines.is_empty()).then(|| lines.join(","))))
    }
}

impl IfMatch {
    /// Returns whether the caller says anything.
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Checks that the stream is what the caller thinks it is.
    ///
    /// # Errors
    /// 412, with the tag that would have matched.
    pub fn check(&self, record: &StreamRecord) -> Result<(), Problem> {
        self.check_tag("the stream's config", entity_tag(record))
    }

    /// Checks that the resource is what the caller thinks it is. One that does not exist is nothing that a caller can name.
    ///
    /// # Errors
    /// 412, with the tag that would have matched, if there is one.
    pub fn check_resource(&self, resource: Option<&Resource>) -> Result<(), Problem> {
        match resource {
            Some(resource) => self.check_tag("the resource", resource_tag(resource)),
            None if self.is_given() => {
                Err(Problem::new(StatusCode::PRECONDITION_FAILED, "the resource does not exist, so If-Match names none"))
            }
            None => Ok(()),
        }
    }

    fn check_tag(&self, what: &str, tag: String) -> Result<(), Problem> {
        match &self.0 {
            Some(list) if !names(list, &tag) => {
                let problem = Problem::new(StatusCode::PRECONDITION_FAILED, format!("{what} is {tag}, which If-Match does not name"));
                Err(match HeaderValue::from_str(&tag) {
                    Ok(value) => problem.with_header(header::ETAG, value),
                    Err(_) => problem,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a list of tags names this one. A weak tag (`W/"1"`) never does; our tags hold no comma.
fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|named| named == "*" || named == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_a_tag_only_as_it_is() {
        for list in [r#""7""#, "*", r#""1", "7""#, r#""1","7" ,W/"7""#, r#" "7" "#] {
            assert!(names(list, r#""7""#), "{list}");
        }
        for list in ["", "7", r#"W/"7""#, r#""17""#, r#""7"#, r#""1", "70""#] {
            assert!(!names(list, r#""7""#), "{list}");
        }
    }
}
