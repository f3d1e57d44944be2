//! Reads the objects that sinks write.

mod cbor_json;
mod content;
mod items;
mod lines;
#[cfg(test)]
mod test_objects;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::Object;
use domain::history::{EventForm, Line, Listing, StoredObject, StoredObjects, Visitor};
use domain::store::StoreFault;
use time::OffsetDateTime;

use crate::fault::store_fault;
use crate::s3::content::{Content, Ending};

/// The deployment's data bucket.
#[derive(Debug, Clone)]
pub struct DataBucket {
    client: Client,
    bucket: String,
}

impl DataBucket {
    /// Reads from the bucket of this name.
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        // The bucket in the path, not in the host name: S3 takes both, a local AWS on 127.0.0.1 has no host names to give, and a bucket
        // with a dot in its name fits no TLS certificate.
        let settings = Builder::from(config).force_path_style(true).build();
        Self { client: Client::from_conf(settings), bucket }
    }
}

#[async_trait::async_trait]
impl StoredObjects for DataBucket {
    async fn list_page(&self, prefix: &str, start_after: &str) -> Result<Listing, StoreFault> {
        let mut continuation = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).start_after(start_after);
            let answer = request.set_continuation_token(continuation).send().await;
            let output = answer.map_err(store_fault("could not list objects"))?;
            let is_complete = !output.is_truncated().unwrap_or(false);
            let objects: Vec<StoredObject> = output.contents().iter().filter_map(stored_object).collect();
            if is_complete || !objects.is_empty() {
                return Ok(Listing { objects, is_complete });
            }
            // S3 may give a part without any object; then only its token leads on.
            match output.next_continuation_token {
                Some(token) => continuation = Some(token),
                None => return Err(StoreFault::new("s3 gave part of a list and no way to the rest")),
            }
        }
    }

    async fn for_each_line(&self, key: &str, form: EventForm, visit: &mut Visitor<'_>) -> Result<(), StoreFault> {
        let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let mut body = match answer {
            Ok(output) => output.body,
            // It was deleted or archived since it was listed: nobody else's events should be out of reach for that.
            Err(error) if matches!(error.code(), Some("NoSuchKey" | "InvalidObjectState")) => {
                tracing::warn!(object.key = key, error.code = error.code(), "an object is left out");
                let _ = visit(Line::Unreadable);
                return Ok(());
            }
            Err(error) => return Err(store_fault("could not read an object")(error)),
        };
        let mut content = Content::new(form, visit);
        while let Some(bytes) = body.try_next().await.map_err(store_fault("could not read all of an object"))? {
            content.push(&bytes);
            if content.is_done() {
                break;
            }
        }
        match content.finish() {
            Ending::Whole | Ending::EnoughSeen => {}
            Ending::Damaged(what) => tracing::warn!(object.key = key, what, "the rest of an object is left out"),
        }
        Ok(())
    }
}

fn stored_object(object: &Object) -> Option<StoredObject> {
    let modified = object.last_modified()?;
    let last_modified = OffsetDateTime::from_unix_timestamp_nanos(modified.as_nanos()).ok()?;
    Some(StoredObject { key: object.key()?.to_owned(), last_modified, size: u64::try_from(object.size().unwrap_or(0)).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::primitives::DateTime;
    use time::macros::datetime;

    #[test]
    fn an_object_in_a_list_keeps_key_time_and_size() {
        let listed = Object::builder().key("a").size(7).last_modified(DateTime::from_millis(1_517_966_773_840)).build();
        let expected = StoredObject { key: "a".into(), last_modified: datetime!(2018-02-07 01:26:13.840 UTC), size: 7 };
        assert_eq!(stored_object(&listed), Some(expected));
        assert_eq!(stored_object(&Object::builder().key("a").build()), None);
    }
}
