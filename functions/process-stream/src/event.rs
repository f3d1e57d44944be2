//! A batch as Lambda hands it over (<https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>), as far as it matters here.
//!
//! `aws_lambda_events::KinesisEvent` would do, but for arrivals: 1.2.1 reads 0.77 s as 77 ms.

use aws_lambda_events::encodings::Base64Data;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;

/// Records of one shard, in order.
#[derive(Deserialize)]
pub struct KinesisBatch {
    /// The records.
    #[serde(rename = "Records")]
    pub records: Vec<KinesisRecord>,
}

/// One record, with where it comes from.
#[derive(Deserialize)]
pub struct KinesisRecord {
    /// The stream's ARN.
    #[serde(rename = "eventSourceARN", default)]
    pub source_arn: String,
    /// The record itself.
    pub kinesis: KinesisData,
}

/// What Kinesis says of a record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KinesisData {
    /// Its bytes.
    pub data: Base64Data,
    /// What decided its shard.
    pub partition_key: String,
    /// Its name within the stream.
    pub sequence_number: String,
    /// When it arrived, to the millisecond.
    #[serde(rename = "approximateArrivalTimestamp", deserialize_with = "seconds")]
    pub arrived_at: OffsetDateTime,
}

/// Reads seconds since 1970 with a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let milliseconds = (f64::deserialize(deserializer)? * 1_000.0).round();
    Ok(from_milliseconds(milliseconds as i128))
}

/// A time in milliseconds since 1970; the very beginning when there is no such time.
pub(crate) fn from_milliseconds(milliseconds: i128) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds.saturating_mul(1_000_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_is_read_to_the_millisecond_however_it_is_written() {
        for (text, milliseconds) in [
            ("1767225598.107", 1_767_225_598_107),
            ("1767225598.77", 1_767_225_598_770),
            ("1767225598.7", 1_767_225_598_700),
            ("1767225598.007", 1_767_225_598_007),
            ("1767225598", 1_767_225_598_000),
            ("1.76722559877E9", 1_767_225_598_770),
            ("1e300", 0),
        ] {
            let read = seconds(&mut serde_json::Deserializer::from_str(text)).unwrap();
            assert_eq!(read.unix_timestamp_nanos() / 1_000_000, milliseconds, "{text}");
        }
    }
}
