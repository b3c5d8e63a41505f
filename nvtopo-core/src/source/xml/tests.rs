//! Accepted and refused XML, and the places of errors.

use super::builder::{MAX_ATTRIBUTES, MAX_ATTRIBUTES_OF_ONE, MAX_DEPTH, MAX_ELEMENTS};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn refused(text: &str) -> Error {
    match Document::parse(text) {
        Err(error) => error,
        Ok(_) => panic!("accepted: {text}"),
    }
}

#[test]
fn the_root_is_found_behind_what_comes_before() {
    for (text, expected) in [
        ("<topology>", Some("topology")),
        (
            "\u{feff} <?xml version='1.0'?>\n<!-- <a> -->\n<!DOCTYPE topology SYSTEM \"a>b\">\n<topology version='2.0'>",
            Some("topology"),
        ),
        ("<topology version=\"2", Some("topology")),
        ("<topologydiff>", Some("topologydiff")),
        ("<system version='1'/>", Some("system")),
        ("<!DOCTYPE topology [<!ENTITY a 'b'>]><topology>", None),
        ("{}", None),
        ("text <topology>", None),
        ("", None),
    ] {
        assert_eq!(root_name(text), expected, "{text}");
    }
    assert_eq!(root_name("<topology \u{fffd}"), Some("topology"));
    assert_ne!(root_name("<!-- "), Some("topology"));
}

#[test]
fn elements_are_found_with_what_they_hold() {
    let text = "\u{feff}<?xml version='1.0'?><!DOCTYPE a SYSTEM 'a>b'>\n<a x='1' y = \"&lt;&#65;&amp;\n\" >\
                <b> \r\n&#49; &#50;<![CDATA[ 3<]]><!-- - --> &#52;<c/>5</b><?go?><é:b->  </é:b->\n</a >\n<!-- end -->";
    let document = Document::parse(text).unwrap();
    let root = document.root();
    assert_eq!((root.name(), root.text()), ("a", ""));
    assert_eq!(
        [root.attribute("x"), root.attribute("y"), root.attribute("z")],
        [Some("1"), Some("<A& "), None]
    );
    let children: Vec<&str> = root.children().map(Element::name).collect();
    assert_eq!(children, ["b", "é:b-"]);
    let first = root.children().next().unwrap();
    assert_eq!((first.text(), first.children().count()), ("1 2 3< 4", 1));
}

#[test]
fn errors_have_their_place() {
    for (text, line, column, reason) in [
        ("", 1, 1, "too early"),
        ("<!-- <a/> -->", 1, 14, "too early"),
        ("<topology>\n  <object>\n</topology>", 3, 1, "expected '</object>'"),
        ("<topology>\n  <obj", 2, 7, "too early"),
        ("<topology>\n  <obj a='>", 2, 12, "too early"),
        ("<topology>\n", 2, 1, "too early"),
        ("<topology>\n<!-- ", 2, 6, "too early"),
        ("<topology>\n</topology\n</topology>", 3, 1, "'<' inside a tag"),
        ("<topology/>\n</topology>", 2, 1, "closes nothing"),
        ("<topology/>\n <topology/>", 2, 2, "second root"),
        ("<topology/>\nx", 2, 1, "expected an XML element"),
        ("<topology/>&lt;", 1, 12, "expected an XML element"),
        ("<topology/><![CDATA[]]>", 1, 12, "expected an XML element"),
        ("x<topology/>", 1, 1, "expected an XML element"),
        ("<topology/><?xml version='1.0'?>", 1, 12, "not at the start"),
        ("<!DOCTYPE topology [<!ENTITY a 'b'>]>\n<topology/>", 1, 1, "entities"),
        ("<topology>\n<!DOCTYPE topology></topology>", 2, 1, "document type inside"),
        ("<topology>\né&x;</topology>", 2, 2, "entity"),
        ("<topology>\n&#0;</topology>", 2, 1, "entity"),
        ("<topology>\n&#x5;</topology>", 2, 1, "entity"),
        ("<topology>\n& </topology>", 2, 1, "entity"),
        ("<topology a='é&x;'/>", 1, 15, "entity"),
        ("<topology a='1&#5;'/>", 1, 15, "entity"),
        ("<topology a='&#xd800;'/>", 1, 14, "entity"),
        ("<topology a='& '/>", 1, 14, "entity"),
        ("<topology a='1' a='2'/>", 1, 17, "the attribute a occurs twice"),
        ("<topology a='1'b='2'/>", 1, 16, "a space before it"),
        ("<topology a='<'/>", 1, 14, "'<' in a value"),
        ("<topology a=1/>", 1, 13, "expected a quote before"),
        ("<topology a/>", 1, 12, "expected '='"),
        ("<topology 1='2'/>", 1, 11, "expected an attribute"),
        ("<topology ='2'/>", 1, 11, "expected an attribute"),
        ("<topology>\n<>", 2, 1, "a proper name"),
        ("<1/>", 1, 1, "a proper name"),
        ("<!topology>", 1, 1, "broken XML"),
        ("<topology>\n<!-- a -- b --></topology>", 2, 8, "broken XML"),
        ("<topology a='\u{1}'/>", 1, 14, "no XML holds"),
        ("<topology>\u{1}</topology>", 1, 11, "no XML holds"),
    ] {
        let error = refused(text);
        assert!(error.to_string().contains(reason), "{error}\n{text}");
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{error}\n{text}");
    }
}

#[test]
fn elements_and_attributes_have_their_place() {
    let document = Document::parse("<a>\n <b é='1' c='2'/></a>").unwrap();
    let b = document.root().children().next().unwrap();
    let place = |error: Error| (error.line(), error.column());
    assert_eq!(place(b.error("x")), (Some(2), Some(2)));
    assert_eq!(place(b.error_at("c", "x")), (Some(2), Some(11)));
    assert_eq!(place(b.error_at("d", "x")), (Some(2), Some(2)));
}

#[test]
fn no_text_takes_more_than_a_machine_needs() {
    let many = |count: usize| {
        let attributes: Vec<String> = (0..count).map(|name| format!(" a{name}=''")).collect();
        attributes.concat()
    };
    assert!(Document::parse(&format!("<a{}/>", many(MAX_ATTRIBUTES_OF_ONE))).is_ok());
    let holds_too_much = |text: &str| refused(text).message().contains("more than any machine");
    assert!(holds_too_much(&format!("<a{}/>", many(MAX_ATTRIBUTES_OF_ONE + 1))));
    assert!(holds_too_much(&format!("<a>{}", "<a/>".repeat(MAX_ELEMENTS))));
    let element = format!("<a{}/>", many(MAX_ATTRIBUTES_OF_ONE));
    assert!(holds_too_much(&format!("<a>{}", element.repeat(MAX_ATTRIBUTES / MAX_ATTRIBUTES_OF_ONE + 1))));
    assert!(refused(&"<a>".repeat(MAX_DEPTH + 1)).message().contains("more than 256 deep"));
    let long = "<".to_owned() + &"a".repeat(MAX_INPUT as usize);
    assert!(refused(&long).message().contains("more than 64 MiB"));
}

/// Reads a text with another library.
fn other(text: &str) -> Option<roxmltree::Document<'_>> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(text, options).ok()
}

/// Compares all that is below two elements. The other library takes names apart, and declares what starts with xmlns.
fn assert_same(own: Element<'_>, other: roxmltree::Node<'_, '_>) {
    let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    assert_eq!(local(own.name()), other.tag_name().name());
    let names = own.attributes().iter().map(|attribute| own.document.part(attribute.name.span));
    let names = names.filter(|name| *name != "xmlns" && !name.starts_with("xmlns:"));
    let ours: Vec<_> = names.map(|name| (local(name), own.attribute(name).unwrap().to_owned())).collect();
    let others =
        other.attributes().map(|attribute| (attribute.name().to_owned(), attribute.value().to_owned()));
    assert_eq!(ours, others.collect::<Vec<_>>());
    let before = other.children().take_while(|node| !node.is_element()).filter(roxmltree::Node::is_text);
    let before = before.filter_map(|node| node.text()).collect::<String>();
    assert_eq!(own.text(), before.trim_start_matches([' ', '\n', '\t', '\r']));
    let (ours, others) = (own.children(), other.children().filter(roxmltree::Node::is_element));
    let (ours, others): (Vec<_>, Vec<_>) = (ours.collect(), others.collect());
    assert_eq!(ours.len(), others.len());
    for (own, other) in ours.into_iter().zip(others) {
        assert_same(own, other);
    }
}

#[test]
fn recorded_files_are_read_as_another_library_reads_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data");
    let (mut folders, mut count) = (vec![std::path::PathBuf::from(folder)], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "xml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let document = Document::parse(&text).unwrap();
                assert_same(document.root(), other(&text).unwrap().root_element());
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} files");
}

/// The text before the part that is changed. Inside it neither library is as strict as the other.
const PROLOG: &str = "<?xml version='1.0'?>\n<!DOCTYPE a SYSTEM 'a.dtd'>\n<?e f?>";

/// Into this errors are put.
const BODY: &str =
    "<!-- a -->\n<a b='1' c=\"2&lt;3\">\n  <d>4 &#x35; 6<!-- - -->7</d>\n  <g/>8<h i = ' j'></h>\n</a>\n";

/// The pieces that are inserted.
const PIECE: &str =
    "[<>&;\"'/=! \n\t#xa0é-]|<!--|-->|<a>|</a>|<b/>|<!\\[CDATA\\[<\\]\\]>|&#65;|&amp;|&#xd;| b='2'";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_texts_are_read_or_refused_as_by_another_library(
        changes in vec((0..BODY.len(), 0..3_usize, PIECE), 1..4),
    ) {
        let mut body = BODY.to_owned();
        for (place, length, piece) in changes {
            let near = |place: usize| (0..=place.min(body.len())).rev().find(|place| body.is_char_boundary(*place));
            let (from, to) = (near(place).unwrap_or(0), near(place + length).unwrap_or(0));
            body.replace_range(from..to, &piece);
        }
        let text = format!("{PROLOG}{body}");
        match (Document::parse(&text), other(&text)) {
            (Ok(own), Some(other)) => assert_same(own.root(), other.root_element()),
            (Err(_), None) => {}
            (Err(error), Some(_)) => prop_assert!(false, "refused: {error}\n{text}"),
            // The end of CDATA without its start is the one exception that is read as text.
            (Ok(_), None) => prop_assert!(text.contains("]]>"), "accepted: {text}"),
        }
    }
}
