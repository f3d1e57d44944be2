//! The query string of a request.

use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// Takes a query string apart. A `+` stands for itself (RFC 3986), as in `+01:00`: no parameter of ours has a space.
pub fn parameters(raw_query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = raw_query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Reads a switch of a query string: `true`, `false`, or not there.
///
/// # Errors
/// 400 when it is something else, or there twice.
pub fn switch(raw_query: &str, name: &str) -> Result<bool, Problem> {
    let parameters = parameters(raw_query);
    let mut named = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match (named.next(), named.next()) {
        (None | Some("false"), None) => Ok(false),
        (Some("true"), None) => Ok(true),
        _ => {
            let detail = format!("{name}: expected true or false, once");
            Err(Problem::bad_request(detail.clone()).with_error(format!("/{name}"), detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_or_off_and_nothing_else() {
        for (query, expected) in [("", Some(false)), ("a=true", Some(true)), ("a=false", Some(false)), ("b=true", Some(false))] {
            assert_eq!(switch(query, "a").ok(), expected, "{query}");
        }
        for query in ["a", "a=", "a=1", "a=True", "a=true&a=true"] {
            assert!(switch(query, "a").is_err(), "{query}");
        }
    }

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
