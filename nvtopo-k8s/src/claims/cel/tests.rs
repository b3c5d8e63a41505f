//! Tests of selectors.

use super::*;
use crate::claims::slices::Attribute;
use crate::quantity::Quantity;
use proptest::prelude::*;

fn device() -> Device {
    let text = |text: &str| Attribute::Text(text.to_owned());
    Device {
        driver: "gpu.nvidia.com".to_owned(),
        pool: "n".to_owned(),
        name: "gpu-0".to_owned(),
        attributes: [
            ("type".to_owned(), text("gpu")),
            ("index".to_owned(), Attribute::Int(3)),
            ("driverVersion".to_owned(), Attribute::Version("580.95.5".to_owned())),
            ("resource.kubernetes.io/pciBusID".to_owned(), text("0000:01:00.0")),
            ("dra.net/rdma".to_owned(), Attribute::Bool(true)),
        ]
        .into(),
        capacity: [("memory".to_owned(), Quantity::parse("80Gi").unwrap())].into(),
        taints: Vec::new(),
        shared: false,
        counters: false,
    }
}

fn gives(text: &str) -> Result<bool, String> {
    let answer = Selector::parse(text).and_then(|selector| selector.matches(&device()));
    answer.map_err(|error| match error {
        Error::Wrong(why) | Error::Limit(why) => why,
    })
}

#[test]
fn selectors_of_the_documentation_are_understood() {
    for (text, meets) in [
        ("device.driver == \"gpu.nvidia.com\" && device.attributes[\"gpu.nvidia.com\"].type == 'gpu'", true),
        (
            "device.attributes[\"resource.kubernetes.io\"].pciBusID in [\"0000:25:00.0\", \"0000:01:00.0\"]",
            true,
        ),
        ("device.attributes['dra.net'].rdma", true),
        ("!device.attributes['dra.net'].rdma || 1 > 2", false),
        ("has(device.attributes['no.such.domain'].x)", false),
        (
            "has(device.attributes['gpu.nvidia.com'].index) ? device.attributes['gpu.nvidia.com'].index == 3 : false",
            true,
        ),
        ("device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40Gi')) >= 0", true),
        ("device.capacity['gpu.nvidia.com'].memory.isLessThan(quantity('80G'))", false),
        ("device.attributes['gpu.nvidia.com'].driverVersion.isGreaterThan(semver('580.95.0-rc.1'))", true),
        ("device.attributes['gpu.nvidia.com'].driverVersion.compareTo(semver('580.95.5+x')) == 0", true),
        ("cel.bind(own, device.attributes['gpu.nvidia.com'], own.type == 'gpu' && own.index < 4)", true),
        (
            "['a', 'b'].exists(x, x == 'b') && ['a'].all(x, x.startsWith('a')) && [1, 2].exists_one(x, x > 1)",
            true,
        ),
        ("'type' in device.attributes['gpu.nvidia.com'] && !('other' in device.attributes)", true),
        ("-3 + 2 * 4 - 7 % 3 == 4 && 7 / 2 == 3 && 1.5 < 2", true),
        // An error counts only where the other side does not decide.
        ("device.attributes['x'].none == 1 || true", true),
        ("false && device.attributes['x'].none == 1", false),
        ("'1' == 1", false),
    ] {
        assert_eq!(gives(text), Ok(meets), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    for (text, word) in [
        ("device.attributes['gpu.nvidia.com'].none == 1", "no such key: none"),
        ("device.attributes['x'].none == 1 || false", "no such key"),
        ("device.other", "no such key: other"),
        ("nothing", "'nothing' is unknown"),
        ("device.driver.matches('.*')", "'matches' is not known here"),
        ("1", "a whole number"),
        ("1 < 'a'", "does not go with"),
        ("9223372036854775807 + 1 == 0", "too large"),
        ("1 / 0 == 0", "divided by 0"),
        ("(1", "')' is missing"),
        ("'a", "does not end"),
        ("a b", "not expected"),
        ("", "too early"),
        ("# ", "'#'"),
        ("'''a'''", "three quotes"),
        ("99999999999999999999", "too large"),
    ] {
        let error = gives(text).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
    for deep in ["(", "[", "!", "-", "a.", "1+", "a?b:", "has("] {
        assert!(Selector::parse(&deep.repeat(5000)).is_err(), "{deep}");
        // It may be right for the scheduler.
        let whole = matches!(deep, "(" | "[" | "!" | "-" | "1+" | "a?b:" | "has(");
        let limit = matches!(Selector::parse(&deep.repeat(100)), Err(Error::Limit(_)));
        assert!(limit || !whole, "{deep}");
    }
    assert!(gives(&format!("'{}' == ''", "x".repeat(11 << 10))).unwrap_err().contains("are the most"));
    // All items with all items, again and again.
    let items = vec!["1"; 60].join(",");
    let nested = format!("[{items}].all(a, [{items}].all(b, [{items}].all(c, a + b + c == 3)))");
    assert!(gives(&nested).unwrap_err().contains("steps"));
}

/// The same answers as a well-kept interpreter of the language gives.
#[test]
fn another_interpreter_agrees() {
    let attributes = serde_json::json!({
        "gpu.nvidia.com": {"type": "gpu", "index": 3}, "resource.kubernetes.io": {"pciBusID": "0000:01:00.0"}, "dra.net": {"rdma": true},
    });
    let value = serde_json::json!({"driver": "gpu.nvidia.com", "attributes": attributes});
    let atoms = [
        "device.driver == 'gpu.nvidia.com'",
        "device.attributes['gpu.nvidia.com'].index < 3",
        "device.attributes['gpu.nvidia.com'].type in ['gpu', 'mig']",
        "has(device.attributes['dra.net'].rdma)",
        "device.attributes['dra.net'].none == 1",
        "device.attributes['resource.kubernetes.io'].pciBusID.endsWith(':00.0')",
        "'type' in device.attributes['gpu.nvidia.com']",
        "[1, 2, 3].exists(x, x == 2)",
    ];
    let mut compared = 0;
    for a in atoms {
        for b in atoms {
            for text in [
                format!("{a} && {b}"),
                format!("!({a}) || {b}"),
                format!("{a} ? {b} : !({b})"),
                format!("({a}) == ({b})"),
            ] {
                let mut context = ::cel::Context::default();
                context.add_variable("device", value.clone()).unwrap();
                let theirs = ::cel::Program::compile(&text).unwrap().execute(&context);
                let theirs = match theirs {
                    Ok(::cel::Value::Bool(meets)) => Some(meets),
                    Ok(_) | Err(_) => None,
                };
                assert_eq!(gives(&text).ok(), theirs, "{text}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 256);
}

proptest! {
    #[test]
    fn any_expression_is_read_or_refused(text in "[a-z0-9.()\\[\\]'\" !&|=<>?:,+*/%-]{0,80}") {
        let _ = gives(&text);
    }

    #[test]
    fn any_text_at_all(text in ".{0,100}") {
        let _ = gives(&text);
    }
}
