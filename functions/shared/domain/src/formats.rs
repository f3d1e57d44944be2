//! Texts that our types read, by the names that their schemas give them as `format`.

use std::str::FromStr;

use crate::duration_text::DurationText;
use crate::field_path::FieldPath;
use crate::ids::ResourceId;
use crate::input::Origin;
use crate::pipeline::Window;

/// Says why a text is none of a format; of formats that are not ours, nothing.
pub(crate) fn format_fault(format: &str, text: &str) -> Option<String> {
    match format {
        "field-path" => fault::<FieldPath>(text),
        "resource-id" => fault::<ResourceId>(text),
        "web-origin" => fault::<Origin>(text),
        "duration" => fault::<DurationText>(text),
        "window" => fault::<Window>(text),
        _ => None,
    }
}

fn fault<T: FromStr<Err: ToString>>(text: &str) -> Option<String> {
    text.parse::<T>().err().map(|error| error.to_string())
}
