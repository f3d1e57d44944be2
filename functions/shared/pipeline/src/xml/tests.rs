use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use domain::limits::MAX_JSON_DEPTH;

fn records(document: &str) -> Vec<serde_json::Value> {
    let read = read(document.as_bytes()).unwrap_or_else(|fault| panic!("{document}: {fault}"));
    read.into_iter().map(|record| record.try_into().unwrap()).collect()
}

fn fault(document: &str) -> String {
    read(document.as_bytes()).expect_err(document).to_string()
}

#[test]
fn each_record_of_the_root_is_one_object() {
    let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<trucks xmlns=\"urn:waste\" day=\"wednesday\">\n\
                    <record><id>17</id></record>\n<!-- a pause --> <record n=\"2\"/><record>late</record><record>  </record>\n</trucks>\n";
    assert_eq!(records(document), [json!({"id": "17"}), json!({"@n": "2"}), json!({"#text": "late"}), json!({})]);
}

#[test]
fn a_root_without_records_is_the_one_object() {
    assert_eq!(records("<truck id=\"17\"><litres>240</litres></truck>"), [json!({"@id": "17", "litres": "240"})]);
    assert_eq!(records("<truck> 17 </truck>"), [json!({"#text": "17"})]);
    assert_eq!(records("<truck/>"), [json!({})]);
    assert_eq!(records("<a><b><record>1</record></b></a>"), [json!({"b": {"record": "1"}})], "only children of the root are records");
    assert_eq!(records("<a><x:record>1</x:record></a>"), [json!({"x:record": "1"})], "a prefix belongs to the name");
    assert_eq!(records("<record><record>1</record></record>"), [json!({"#text": "1"})]);
}

#[test]
fn what_stands_in_an_element_becomes_members_by_its_name() {
    let document =
        "<t><stop>Aker</stop><w:stop/><stop n=\"2\">Bryn</stop><driver><name>Kari</name></driver><empty></empty><blank> \n</blank></t>";
    assert_eq!(
        records(document),
        [json!({
            "stop": ["Aker", {"@n": "2", "#text": "Bryn"}],
            "w:stop": "",
            "driver": {"name": "Kari"},
            "empty": "",
            "blank": " \n",
        })]
    );
}

#[test]
fn text_beside_elements_keeps_all_its_pieces() {
    let document = "<t>\n one <b/> two<!-- not a break -->&amp;more<![CDATA[ <3]]> <b/>\n</t>";
    assert_eq!(records(document), [json!({"b": ["", ""], "#text": "one two&more <3"})]);
    assert_eq!(records("<t a=\"1\"> \n </t>"), [json!({"@a": "1"})], "white space alone is no text");
}

#[test]
fn references_and_cdata_stand_for_their_characters() {
    let document = "<t a=\"&lt;&#228;&quot;\"><b>&#x41;&apos;&gt;&amp;amp;</b><c><![CDATA[&amp;<x>]]></c><d> a\r\nb </d></t>";
    assert_eq!(records(document), [json!({"@a": "<ä\"", "b": "A'>&amp;", "c": "&amp;<x>", "d": " a\nb "})]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(records("\u{feff}<?xml version='1.0' encoding='utf-8'?><a/>"), [json!({})]);
    assert_eq!(fault("\u{feff}<a>"), "expected an end of the element a, got none at byte 3");
}

#[test]
fn nothing_of_a_document_is_dropped_beside_its_records() {
    let beside = "expected nothing else beside elements called record, got more at byte";
    assert_eq!(fault("<a><record/><b/></a>"), format!("{beside} 12"));
    assert_eq!(fault("<a><b/><record/></a>"), format!("{beside} 3"));
    assert_eq!(fault("<a><record/> and more</a>"), format!("{beside} 12"));
    assert_eq!(fault("<a><record/>&#x41;</a>"), format!("{beside} 12"));
    assert_eq!(fault("<a><![CDATA[x]]><record/></a>"), format!("{beside} 3"));
}

#[test]
fn what_is_no_document_says_where() {
    let cases = [
        ("", "expected an element, got none at byte 0"),
        (" \n<!-- nothing --> ", "expected an element, got none at byte 19"),
        ("text", "expected one root element and nothing outside it, got more at byte 0"),
        ("<a/><b/>", "expected one root element and nothing outside it, got more at byte 4"),
        ("<a/>\n{}", "expected one root element and nothing outside it, got more at byte 4"),
        ("<a/>&#65;", "expected one root element and nothing outside it, got more at byte 4"),
        ("<a><b></b>", "expected an end of the element a, got none at byte 0"),
        ("<a><b></a>", "ill-formed document: expected `</b>`, but `</a>` was found at byte 6"),
        ("<a></a></a>", "ill-formed document: close tag `</a>` does not match any open tag at byte 7"),
        ("<a b='1' b='2'/>", "expected the attribute b once, got it twice at byte 0"),
        ("<a b='1<2'/>", "expected a value of the attribute b, got characters that are none of XML or a < at byte 0"),
        ("<a b='&#1;'/>", "expected a value of the attribute b, got characters that are none of XML or a < at byte 0"),
        ("<a>&nbsp;</a>", "expected a character or one of lt, gt, amp, apos, quot, got &nbsp; at byte 3"),
        ("<a>&#1;</a>", "expected a character or one of lt, gt, amp, apos, quot, got &#1; at byte 3"),
        ("<a>&#xD800;</a>", "expected a character or one of lt, gt, amp, apos, quot, got &#xD800; at byte 3"),
        ("<a>\u{1}</a>", "expected characters of XML, got U+0001 at byte 3"),
        ("<!DOCTYPE a><a/>", "expected no DOCTYPE, got one at byte 0"),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "expected no DOCTYPE, got one at byte 0"),
        ("<1/>", "expected the name of an element, got \"1\" at byte 0"),
        ("<@a/>", "expected the name of an element, got \"@a\" at byte 0"),
        ("<a #b='1'/>", "expected the name of an attribute, got \"#b\" at byte 0"),
        (" <?xml version='1.0'?><a/>", "expected the XML declaration at the very start, got it later at byte 1"),
        ("<?xml version='1.0' encoding='latin1'?><a/>", "expected the encoding UTF-8, got \"latin1\" at byte 0"),
    ];
    for (document, expected) in cases {
        assert_eq!(fault(document), expected, "{document}");
    }
    for document in [
        "<",
        "<a",
        "<a b",
        "<a b=1/>",
        "<a>&",
        "<a>&amp</a>",
        "<a><![CDATA[x</a>",
        "<!-- ",
        "<?xml version='2.0'?><a/>",
        "<a><!-- -- --></a>",
    ] {
        assert!(read(document.as_bytes()).is_err(), "{document}");
    }
    assert_eq!(read(b"<a>\xff</a>").unwrap_err().to_string(), "expected UTF-8, got other bytes at byte 3");
}

#[test]
fn nesting_is_refused_one_over_the_limit() {
    let nested = |levels: usize, inner: &str| format!("{}{inner}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    assert_eq!(records(&nested(MAX_JSON_DEPTH, "<b>x</b>")).len(), 1);
    assert_eq!(fault(&nested(MAX_JSON_DEPTH + 1, "<b>x</b>")), "nested deeper than 64 levels at byte 0");
    assert_eq!(fault(&nested(MAX_JSON_DEPTH, "<b/><b/>")), "nested deeper than 64 levels at byte 0", "an array is a level too");
    let record = |levels| format!("<r><record>{}</record></r>", nested(levels, "<b>x</b>"));
    assert_eq!(records(&record(MAX_JSON_DEPTH - 1)).len(), 1);
    assert_eq!(fault(&record(MAX_JSON_DEPTH)), "nested deeper than 64 levels at byte 203");
    assert!(fault(&"<a>".repeat(100_000)).starts_with("nested deeper than 64 levels"));
}

#[test]
fn many_attributes_and_elements_are_read_in_time() {
    let attributes: String = (0..30_000).map(|n| format!(" a{n}=''")).collect();
    assert!(read(format!("<a{attributes}/>").as_bytes()).is_ok());
    let of = |count: usize| format!("<a>{}</a>", "<record/>".repeat(count));
    assert_eq!(records(&of(1_000)).len(), 1_000);
    assert!(fault(&of(1_001)).starts_with("expected at most 1000 records, got more"));
}

/// An element as a generator makes it: no white space around text, which would be trimmed beside other members.
#[derive(Debug, Clone)]
struct Element {
    attributes: BTreeMap<String, String>,
    children: Vec<(String, Element)>,
    text: String,
}

fn any_element() -> impl Strategy<Value = Element> {
    let attributes = prop::collection::btree_map("[a-cÄ_:][a-c.-]{0,2}", "[ -~¡-῿😀]{0,10}|[<>&\"' ]{0,4}", 0..3);
    let text = "[!-~¡-῿😀]{0,10}|[<>&\"']{0,4}|a b";
    let leaf = (attributes.clone(), text).prop_map(|(attributes, text)| Element { attributes, children: Vec::new(), text });
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let children = prop::collection::vec(("[a-c]|x:y|ø", inner), 0..6);
        (attributes.clone(), children, text).prop_map(|(attributes, children, text)| Element { attributes, children, text })
    })
}

fn written(name: &str, element: &Element, out: &mut String) {
    write!(out, "<{name}").unwrap();
    for (name, value) in &element.attributes {
        write!(out, " {name}=\"{}\"", quick_xml::escape::escape(value.as_str())).unwrap();
    }
    out.push('>');
    // Text first, and white space that means nothing.
    out.push_str(&quick_xml::escape::escape(element.text.as_str()));
    for (name, child) in &element.children {
        out.push_str("\n  ");
        written(name, child, out);
    }
    write!(out, "</{name}>").unwrap();
}

fn meant(element: &Element) -> serde_json::Value {
    let object = object_of(element);
    let is_text = element.attributes.is_empty() && element.children.is_empty();
    if is_text { json!(element.text) } else { object }
}

fn object_of(element: &Element) -> serde_json::Value {
    let mut repeated: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    for (name, child) in &element.children {
        repeated.entry(name).or_default().push(meant(child));
    }
    let mut members = serde_json::Map::new();
    for (name, mut values) in repeated {
        members.insert(name.to_owned(), if values.len() == 1 { values.remove(0) } else { values.into() });
    }
    members.extend(element.attributes.iter().map(|(name, value)| (format!("@{name}"), json!(value))));
    if !element.text.is_empty() {
        members.insert("#text".to_owned(), json!(element.text));
    }
    members.into()
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_text_like_xml_panics(text in "(<[/!?]?[ab@:]?|[ab]=|['\"]|/?>|&(#x?[0-9]{1,7}|lt|x)?;?|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?xml|\\?>|record| |\u{feff}){0,40}") {
        let _ = read(text.as_bytes());
    }

    #[test]
    fn a_tree_written_as_xml_is_read_back_the_same(root in any_element(), events in prop::collection::vec(any_element(), 1..4)) {
        let mut document = String::new();
        written("root", &root, &mut document);
        prop_assert_eq!(records(&document), [object_of(&root)]);

        let mut document = "<root day='1'>".to_owned();
        events.iter().for_each(|event| written("record", event, &mut document));
        document.push_str("</root>");
        prop_assert_eq!(records(&document), events.iter().map(object_of).collect::<Vec<_>>());
    }
}
