//! Compressed bodies, decoded in a stream and never beyond a limit.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::media_type::unsupported;
use crate::problem::Problem;

/// The largest window of a zstd frame, as a power of two: the 8 MB that RFC 9659 allows for HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentEncoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl ContentEncoding {
    /// Reads what the headers of a request say.
    ///
    /// # Errors
    /// 415 for another one, or for several on top of each other.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut said = headers.get_all(header::CONTENT_ENCODING).into_iter().peekable();
        if said.peek().is_none() {
            return Ok(Self::Identity);
        }
        let said: Vec<String> = said.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect();
        let text = said.join(", ");
        let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity")).collect();
        match names[..] {
            [] => Ok(Self::Identity),
            // RFC 9110, 8.4.1.3: the same.
            ["gzip" | "x-gzip"] => Ok(Self::Gzip),
            ["zstd"] => Ok(Self::Zstd),
            _ => {
                let problem = unsupported(format!("expected content-encoding gzip, zstd or none, once; got {text:?}"));
                // RFC 7694.
                Err(problem.with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd")))
            }
        }
    }

    /// Decodes a body.
    ///
    /// # Errors
    /// 400 when it is damaged, incomplete, or has something behind its end; 413 when it would be larger than `limit`.
    pub(crate) fn decode(self, body: Bytes, limit: usize) -> Result<Bytes, Problem> {
        let decoded = match self {
            Self::Identity => return Ok(body),
            Self::Gzip => read_within(MultiGzDecoder::new(&body[..]), limit),
            Self::Zstd => zstd_decoder(&body).and_then(|decoder| read_within(decoder, limit)),
        };
        let name = if self == Self::Gzip { "gzip" } else { "zstd" };
        match decoded {
            Ok(Some(decoded)) => Ok(decoded.into()),
            Ok(None) => {
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("expected a body of at most {limit} bytes once it is decoded")))
            }
            Err(error) => Err(Problem::bad_request(format!("body is not {name}: {error}"))),
        }
    }
}

fn zstd_decoder(body: &[u8]) -> io::Result<zstd::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Reads to the end, or no further than one byte beyond the limit.
fn read_within(reader: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut decoded = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut decoded)?;
    Ok((decoded.len() <= limit).then_some(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::encode_all(data, 3).unwrap()
    }

    fn said(values: &[&str]) -> Result<ContentEncoding, u16> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        ContentEncoding::of(&headers).map_err(|problem| problem.status().as_u16())
    }

    fn decode(encoding: ContentEncoding, body: &[u8], limit: usize) -> Result<Vec<u8>, u16> {
        let decoded = encoding.decode(Bytes::copy_from_slice(body), limit);
        decoded.map(|bytes| bytes.to_vec()).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn one_encoding_is_taken() {
        use ContentEncoding::{Gzip, Identity, Zstd};
        assert_eq!([said(&[]), said(&["identity"]), said(&[""])], [Ok(Identity); 3]);
        assert_eq!([said(&["gzip"]), said(&["X-GZIP"]), said(&["identity, gzip"])], [Ok(Gzip); 3]);
        assert_eq!(said(&[" zstd "]), Ok(Zstd));
        assert_eq!([said(&["gzip, gzip"]), said(&["gzip", "zstd"]), said(&["br"]), said(&["deflate"])], [Err(415); 4]);
    }

    #[test]
    fn a_body_is_decoded_up_to_the_limit() {
        let data: Vec<u8> = (0..10_000_u32).flat_map(|n| n.to_le_bytes()).collect();
        for (encoding, body) in [(ContentEncoding::Gzip, gzip(&data)), (ContentEncoding::Zstd, zstd(&data))] {
            assert_eq!(decode(encoding, &body, data.len()), Ok(data.clone()));
            assert_eq!(decode(encoding, &body, data.len() - 1), Err(413));
            assert_eq!(decode(encoding, &body[..body.len() - 1], data.len()), Err(400), "{encoding:?} cut short");
            let behind = [&body[..], b"and more"].concat();
            assert_eq!(decode(encoding, &behind, data.len()), Err(400), "{encoding:?} with something behind");
            let twice = [&body[..], &body[..]].concat();
            assert_eq!(decode(encoding, &twice, 2 * data.len()), Ok([&data[..], &data[..]].concat()), "members count together");
            assert_eq!(decode(encoding, &twice, 2 * data.len() - 1), Err(413));
            assert_eq!(decode(encoding, b"{}", 10), Err(400));
        }
    }

    #[test]
    fn a_bomb_is_given_up_at_the_limit() {
        let zeros = vec![0_u8; 50_000_000];
        assert_eq!(decode(ContentEncoding::Gzip, &gzip(&zeros), 1_000), Err(413));
        assert_eq!(decode(ContentEncoding::Zstd, &zstd(&zeros), 1_000), Err(413));
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG + 1).unwrap();
        encoder.write_all(&zeros).unwrap();
        assert_eq!(decode(ContentEncoding::Zstd, &encoder.finish().unwrap(), usize::MAX - 1), Err(400), "a window over the limit");
    }
}
