//! Names and values that Kubernetes accepts.
//!
//! Source: `k8s.io/apimachinery/pkg/util/validation` (label names and values, DNS subdomains) and the rule of Node Feature
//! Discovery for label namespaces (`pkg/utils/validate.go`).

use nvtopo::{Error, Result};

/// The extended resource of NVIDIA's device plugin.
pub(crate) const GPU_RESOURCE: &str = "nvidia.com/gpu";
/// The longest name or value of a label, and the longest DNS label.
pub(crate) const MAX_NAME: usize = 63;
/// The longest DNS subdomain.
const MAX_SUBDOMAIN: usize = 253;

/// Tells whether a text is a label's value: at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends;
/// or nothing.
pub(crate) fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// Tells whether a text is the name of a label, behind its namespace.
pub(crate) fn is_name(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= MAX_NAME
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Tells whether a text is a DNS subdomain: the namespace of a label, the name of most objects. Kubernetes bounds the whole
/// only, and not each part.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_dns_part)
}

/// Tells whether a text is a DNS label: the name of a request or a container.
pub(crate) fn is_dns_label(text: &str) -> bool {
    text.len() <= MAX_NAME && is_dns_part(text)
}

fn is_dns_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Tells whether Node Feature Discovery lets features be labels of this namespace.
pub(crate) fn is_allowed_namespace(namespace: &str) -> bool {
    const OPEN: [&str; 2] = ["feature.node.kubernetes.io", "profile.node.kubernetes.io"];
    let within = |domain: &str| {
        namespace.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    !within("kubernetes.io") || OPEN.into_iter().any(within)
}

/// A text as the value of a label: what is not allowed becomes `-`, and the end is cut.
pub(crate) fn to_value(text: &str) -> String {
    let mut value = String::new();
    for letter in text.chars() {
        let good = letter.is_ascii_alphanumeric() || "_.".contains(letter);
        match letter {
            letter if good => value.push(letter),
            _ if value.ends_with('-') => {}
            _ => value.push('-'),
        }
    }
    let inner = |value: &str| value.trim_matches(|letter: char| !letter.is_ascii_alphanumeric()).to_owned();
    let mut value = inner(&value);
    value.truncate(MAX_NAME);
    inner(&value)
}

/// The name of an extended resource, checked: a namespace, a slash and a name.
pub(crate) fn resource_name(name: &str) -> Result<&str> {
    match name.split_once('/') {
        Some((namespace, own))
            if is_subdomain(namespace)
                && is_name(own)
                && !name.starts_with("requests.")
                && namespace != "kubernetes.io"
                && !namespace.ends_with(".kubernetes.io") =>
        {
            Ok(name)
        }
        _ => Err(Error::request(format!("'{name}' is no extended resource"))
            .help("give one such as nvidia.com/gpu")),
    }
}

/// A number of bytes as Kubernetes writes it, and as resources of huge pages are named after it: `2Mi`.
pub(crate) fn size(bytes: u64) -> String {
    for (shift, unit) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// The name of an object, checked.
pub(crate) fn object_name(name: &str) -> Result<&str> {
    if is_subdomain(name) {
        return Ok(name);
    }
    Err(Error::request(format!("'{name}' cannot be the name of an object"))
        .help("names have lower-case letters, digits, '-' and '.', with a letter or digit at each end"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_judged_as_the_recorded_ones_were() {
        for (value, good) in [
            ("0_2", true),
            ("", true),
            ("0,2", false),
            ("0-31,64-95", false),
            ("NVIDIA-H100-80GB-HBM3", true),
            ("-a", false),
            ("a-", false),
            ("a b", false),
            (&"x".repeat(63), true),
            (&"x".repeat(64), false),
        ] {
            assert_eq!(is_value(value), good, "{value}");
        }
        for (namespace, good) in [
            ("nvtopo.io", true),
            ("kubernetes.io", false),
            ("node.kubernetes.io", false),
            ("feature.node.kubernetes.io", true),
            ("x.feature.node.kubernetes.io", true),
            ("xfeature.node.kubernetes.io", false),
            ("notkubernetes.io", true),
        ] {
            assert_eq!(is_allowed_namespace(namespace), good, "{namespace}");
        }
    }

    #[test]
    fn labels_are_accepted_as_node_feature_discovery_accepts_them() {
        let text = include_str!("../../tests/data/k8s/nfd-labels.tsv");
        let mut seen = [0, 0];
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let [key, value, answer] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let own = key.split_once('/').is_some_and(|(namespace, name)| {
                is_subdomain(namespace) && is_allowed_namespace(namespace) && is_name(name)
            });
            assert_eq!(own && is_value(value), answer == "ok", "{key}={value}");
            seen[usize::from(answer == "ok")] += 1;
        }
        assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_value(text in ".{0,200}") {
            prop_assert!(is_value(&to_value(&text)));
        }

        #[test]
        fn what_is_a_value_stays(text in "[A-Za-z0-9]([A-Za-z0-9_.]{0,61}[A-Za-z0-9])?") {
            prop_assert_eq!(to_value(&text), text);
        }
    }
}
