//! Everything that is wrong with the programs, schemas and paths of a document, where it stands.

use domain::lint::{Fault, Weight};
use domain::text_tree::Node;
use rules::path::Path;
use rules::schema::{Schema, SchemaFault};

use crate::program::{Diagnostic, EventType, Program, Purpose};

/// Names everything that is wrong with the programs, schemas and paths of a stream document, whatever else is wrong with it.
pub fn faults(document: &Node) -> Vec<Fault> {
    let mut faults = document.at(&["input"]).map_or_else(Vec::new, input_faults);
    // A program may count on what the one before it has made of the event.
    let mut event = Some(EventType::default());
    for processor in document.at(&["pipeline", "processors"]).map_or(&[][..], Node::items) {
        let (found, after) = check_processor(processor, event.as_ref());
        faults.extend(found);
        event = after;
    }
    faults
}

/// Names everything that is wrong with the schema and the paths of an `input` section.
pub fn input_faults(input: &Node) -> Vec<Fault> {
    let mut faults = input.at(&["schema"]).map_or_else(Vec::new, schema_faults);
    for field in ["partition_key", "event_id"] {
        faults.extend(input.at(&[field]).and_then(path_fault));
    }
    faults
}

/// Names everything that is wrong with the program, the schema or the path of a processor that meets any event.
pub fn processor_faults(processor: &Node) -> Vec<Fault> {
    check_processor(processor, Some(&EventType::default())).0
}

/// What is wrong with a processor, and the type of an event after it; nobody knows that after a mapping that does not compile.
fn check_processor(processor: &Node, event: Option<&EventType>) -> (Vec<Fault>, Option<EventType>) {
    let mut faults = Vec::new();
    let mut after = Some(EventType::default());
    for member in processor.members() {
        match member.name.as_str() {
            "mapping" => match compile(&member.value, Purpose::Mapping, event) {
                Ok(program) => after = program.map(|program| program.event_after()),
                Err(found) => {
                    faults.extend(found);
                    after = None;
                }
            },
            "filter" => {
                faults.extend(compile(&member.value, Purpose::Filter, event).err().unwrap_or_default());
                after = event.cloned();
            }
            "validate" => {
                faults.extend(member.value.at(&["schema"]).map_or_else(Vec::new, schema_faults));
                after = event.cloned();
            }
            "dedupe" => {
                faults.extend(member.value.at(&["key"]).and_then(path_fault));
                after = event.cloned();
            }
            "rate_limit" => after = event.cloned(),
            // The others make something else of it, which nobody knows here.
            _ => {}
        }
    }
    (faults, after)
}

/// Compiles a program. What is no text is named as a fault of the document's shape; what may be right for the type of an event that is not
/// known is not named at all.
fn compile(node: &Node, purpose: Purpose, event: Option<&EventType>) -> Result<Option<Program>, Vec<Fault>> {
    let Some(source) = node.text() else { return Ok(None) };
    let fault = |found: Diagnostic| Fault { place: node.place_in(found.offset), message: found.message, weight: Weight::Heavy };
    let is_told = |found: &Diagnostic| found.is_certain || event.is_some();
    match Program::compile(source, purpose, event.unwrap_or(&EventType::default())) {
        Ok(program) => Ok(Some(program)),
        Err(found) => Err(found.into_iter().filter(is_told).map(fault).collect()),
    }
}

fn schema_faults(node: &Node) -> Vec<Fault> {
    // What is no object is named as a fault of the document's shape.
    let serde_json::Value::Object(schema) = node.value() else { return Vec::new() };
    let faults = <Schema>::compile(schema).err().unwrap_or_default();
    let fault = |found: SchemaFault| Fault { place: node.near(&found.pointer).place, message: found.message, weight: Weight::Heavy };
    faults.into_iter().map(fault).collect()
}

fn path_fault(node: &Node) -> Option<Fault> {
    let error = Path::compile(node.text()?).err()?;
    Some(Fault { place: node.place, message: error.to_string(), weight: Weight::Heavy })
}

#[cfg(test)]
mod tests;
