//! Names of AWS resources, made from validated ids. Nothing ever takes a name apart again.

use sha2::{Digest, Sha256};

use crate::document::Confidentiality;
use crate::field_path::FieldPath;
use crate::ids::StreamKey;
use crate::input::TimestampFormat;

/// The longest Firehose delivery stream name
/// (<https://docs.aws.amazon.com/firehose/latest/APIReference/API_CreateDeliveryStream.html>).
const MAX_DELIVERY_STREAM_NAME: usize = 64;

/// The longest stack name (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>).
const MAX_STACK_NAME: usize = 128;

/// How this deployment names what it makes.
#[derive(Debug, Clone)]
pub struct Naming {
    /// First part of every Kinesis stream's name.
    pub name_prefix: String,
    /// First part of every stack's and delivery stream's name; the deployment's roles reach nothing else.
    pub stack_prefix: String,
}

impl Naming {
    /// The raw Kinesis stream.
    pub fn raw_stream(&self, key: &StreamKey, confidentiality: Confidentiality) -> String {
        self.data_stream(key, confidentiality, "raw")
    }

    /// The processed Kinesis stream.
    pub fn processed_stream(&self, key: &StreamKey, confidentiality: Confidentiality) -> String {
        self.data_stream(key, confidentiality, "processed")
    }

    fn data_stream(&self, key: &StreamKey, confidentiality: Confidentiality, stage: &str) -> String {
        let StreamKey { id, version } = key;
        format!("{}.{}.{id}.{stage}.{version}.json", self.name_prefix, confidentiality.as_str())
    }

    /// A stack's name. The nonce makes it new for every creation, so that late news of an old stack is never taken for the new one's.
    pub fn stack(&self, part: &str, key: &StreamKey, nonce: u64) -> String {
        let mut name = format!("{}-{part}-{}-{}", self.stack_prefix, key.id, key.version).replace('.', "-");
        // The nonce alone keeps cut names apart.
        name.truncate(MAX_STACK_NAME - 9);
        format!("{name}-{:08x}", nonce as u32)
    }

    /// A delivery stream's name. One that would be too long is cut and ends in a hash of the whole.
    pub fn delivery_stream(&self, part: &str, key: &StreamKey) -> String {
        let whole = format!("{}-{part}-{}-{}", self.stack_prefix, key.id, key.version);
        if whole.len() <= MAX_DELIVERY_STREAM_NAME {
            return whole;
        }
        let digest = Sha256::digest(whole.as_bytes());
        let hash: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        let kept = MAX_DELIVERY_STREAM_NAME - hash.len() - 1;
        format!("{}-{hash}", &whole[..kept])
    }
}

/// The S3 prefix under which the S3 sink writes a stream's events; the partitions follow.
pub fn processed_prefix(key: &StreamKey, confidentiality: Confidentiality) -> String {
    format!("processed/{}/{}/version={}/", confidentiality.as_str(), key.id, key.version)
}

/// The S3 prefix under which a stream's dead letters lie; the hours in which they were written follow.
pub fn dead_letters_prefix(key: &StreamKey) -> String {
    format!("dead-letters/{}/version={}/", key.id, key.version)
}

/// The JQ object by which Firehose finds year, month, day and hour of an event's own time.
///
/// RFC 3339 text is cut, since its digits always stand in the same places; a number of seconds is formatted.
pub fn partition_query(timestamp: &FieldPath, format: TimestampFormat) -> String {
    let path: String = timestamp.names().map(|name| format!("[\"{name}\"]")).collect();
    let part = |name: &str, from: u32, to: u32, letter: char| match format {
        TimestampFormat::Rfc3339 => format!("{name}:.{path}[{from}:{to}]"),
        TimestampFormat::EpochSeconds => format!("{name}:.{path}|strftime(\"%{letter}\")"),
    };
    format!("{{{},{},{},{}}}", part("year", 0, 4, 'Y'), part("month", 5, 7, 'm'), part("day", 8, 10, 'd'), part("hour", 11, 13, 'H'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> Naming {
        Naming { name_prefix: "dp".into(), stack_prefix: "mr-millrace".into() }
    }

    fn key(id: &str, version: &str) -> StreamKey {
        StreamKey { id: id.parse().unwrap(), version: version.parse().unwrap() }
    }

    #[test]
    fn kinesis_streams_are_named_as_okdata_names_them() {
        let trucks = key("refuse-trucks", "1");
        assert_eq!(naming().raw_stream(&trucks, Confidentiality::Green), "dp.green.refuse-trucks.raw.1.json");
        assert_eq!(naming().processed_stream(&trucks, Confidentiality::Red), "dp.red.refuse-trucks.processed.1.json");
    }

    #[test]
    fn the_longest_names_fit_their_limits() {
        let longest = key(&"a".repeat(70), "1234567890.123456789");
        let naming = Naming { name_prefix: "p".repeat(14), stack_prefix: format!("mr-{}", "s".repeat(28)) };
        assert!(naming.processed_stream(&longest, Confidentiality::Yellow).len() <= 128, "Kinesis takes 128 characters");
        assert!(naming.stack("stream", &longest, u64::MAX).len() <= 128, "CloudFormation takes 128 characters");
        assert_eq!(naming.delivery_stream("sink-s3", &longest).len(), 64);
    }

    #[test]
    fn cut_names_of_different_streams_differ() {
        let long = "a".repeat(70);
        let one = naming().delivery_stream("sink-s3", &key(&long, "1"));
        let other = naming().delivery_stream("sink-s3", &key(&long, "2"));
        assert_ne!(one, other);
    }

    #[test]
    fn a_partition_query_follows_the_timestamp() {
        let path: FieldPath = "$.properties['event time']".parse().unwrap();
        assert_eq!(
            partition_query(&path, TimestampFormat::Rfc3339),
            r#"{year:.["properties"]["event time"][0:4],month:.["properties"]["event time"][5:7],day:.["properties"]["event time"][8:10],hour:.["properties"]["event time"][11:13]}"#
        );
        let path: FieldPath = "$.t".parse().unwrap();
        assert_eq!(
            partition_query(&path, TimestampFormat::EpochSeconds),
            r#"{year:.["t"]|strftime("%Y"),month:.["t"]|strftime("%m"),day:.["t"]|strftime("%d"),hour:.["t"]|strftime("%H")}"#
        );
    }
}
