//! JSON documents among other lines of a saved text.

use serde_json::{Deserializer, Value};

/// Returns the JSON objects in a text. Each begins a line; other lines may stand between them.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with('{') {
            let mut documents = Deserializer::from_str(rest).into_iter::<Value>();
            if let Some(Ok(document)) = documents.next() {
                at += documents.byte_offset();
                found.push(document);
                continue;
            }
        }
        at += rest.find('\n').map_or(rest.len(), |end| end + 1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_between_other_lines() {
        let text = "$ cat a\n{\"a\":1}\nwords {\"b\":2}\n{broken\n{\n  \"c\": {\"d\": 3}\n} tail\n[{\"e\":4}]\n{\"cut\": ";
        let found: Vec<String> = objects(text).iter().map(Value::to_string).collect();
        assert_eq!(found, ["{\"a\":1}", "{\"c\":{\"d\":3}}"]);
        assert!(objects("").is_empty());
    }
}
