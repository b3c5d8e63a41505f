//! YAML in and out: objects as documents with comments, and places of what is wrong.

use nvtopo::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One object as a YAML document below lines of comment.
pub(crate) fn document(comment: &[String], object: &impl Serialize) -> Result<String> {
    let mut text = String::new();
    for line in comment.iter().flat_map(|line| line.lines()) {
        text.push_str(if line.is_empty() { "#" } else { "# " });
        text.push_str(line);
        text.push('\n');
    }
    let options = serde_saphyr::ser_options! {
        comment_position: serde_saphyr::CommentPosition::Above,
        prefer_block_scalars: false,
    };
    // By way of a plain value, so that what writes YAML is not built anew for each kind of object.
    let body = serde_json::to_value(object).map_err(|error| error.to_string());
    let body = body
        .and_then(|object| {
            serde_saphyr::to_string_with_options(&object, options).map_err(|error| error.to_string())
        })
        .map_err(|error| Error::input(format!("this cannot be written as YAML: {error}")))?;
    text.push_str(&body);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// As [`document`], of an object of the API. Builds for tests hold it against its type: a field that the type does not know is
/// an error. What is released leaves that out, as the types are larger than all else.
pub(crate) fn object<T: DeserializeOwned + Serialize>(comment: &[String], object: &Value) -> Result<String> {
    #[cfg(debug_assertions)]
    {
        let unknown = |error| Error::input(format!("this is no object of the API: {error}"));
        let typed: T = serde_json::from_value(object.clone()).map_err(unknown)?;
        let known = serde_json::to_value(&typed).map_err(unknown)?;
        if known != *object {
            return Err(Error::input(format!("this is no object of the API: {object} is read as {known}")));
        }
    }
    document(comment, object)
}

/// Several documents as one text.
pub(crate) fn stream(documents: &[String]) -> String {
    documents.join("---\n")
}

#[cfg_attr(not(test), allow(dead_code, reason = "objects of a cluster are read with it"))]
/// Reads all documents of a text as one kind of object. Empty documents count as none.
///
/// Errors with the place in the text.
pub(crate) fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<Vec<T>> {
    serde_saphyr::from_multiple(text).map_err(|error| failed(name, &error))
}

#[cfg_attr(not(test), allow(dead_code, reason = "as `read`"))]
fn failed(name: &str, error: &serde_saphyr::Error) -> Error {
    let place = error.location();
    let inner = error.without_snippet().to_string();
    let told = Error::input(inner).in_input(name);
    match place {
        Some(place) => told.at(place.line() as usize, place.column() as usize),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn words_that_older_yaml_takes_for_something_else_are_quoted() {
        let words = ["off", "on", "yes", "no", "1", "0_2", "1e3", "null", "~", "0x1", "2030-01-01", "4_4"];
        let map: BTreeMap<&str, &str> = words.into_iter().map(|word| (word, word)).collect();
        let text = document(&["a comment".to_owned()], &map).unwrap();
        for word in words {
            assert!(
                text.contains(&format!(": \"{word}\"\n")) || text.contains(&format!(": '{word}'\n")),
                "{text}"
            );
        }
        assert!(text.starts_with("# a comment\n"));
        assert_eq!(read::<BTreeMap<String, String>>("x", &text).unwrap()[0]["off"], "off");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let error = read::<BTreeMap<String, u8>>("pod.yaml", "a: 1\nb: x\n").unwrap_err();
        assert_eq!((error.input_name(), error.line(), error.column()), (Some("pod.yaml"), Some(2), Some(4)));
        assert!(read::<BTreeMap<String, u8>>("x", "---\n---\n# nothing\n").unwrap().is_empty());
        let both = stream(&["a: 1\n".to_owned(), "b: 2\n".to_owned()]);
        assert_eq!(read::<BTreeMap<String, u8>>("x", &both).unwrap().len(), 2);
    }
}
