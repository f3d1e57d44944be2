//! The query string of a request.

use percent_encoding::percent_decode_str;

/// Takes a query string apart. A `+` stands for itself (RFC 3986), as in `+01:00`: no parameter of ours has a space.
pub fn parameters(raw_query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = raw_query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_is_taken_apart_and_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parameters(""), []);
        assert_eq!(
            parameters("from_date=2018-02-07T00:00:00+01:00&to_date=2018-02-07T00%3A00%3A00%2B01%3A00&&page&a=b=c&%ff=%C3%A9"),
            [
                pair("from_date", "2018-02-07T00:00:00+01:00"),
                pair("to_date", "2018-02-07T00:00:00+01:00"),
                pair("page", ""),
                pair("a", "b=c"),
                pair("\u{fffd}", "é"),
            ]
        );
    }
}
