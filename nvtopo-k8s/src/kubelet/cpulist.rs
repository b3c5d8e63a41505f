//! Lists of CPUs as the kubelet reads them.
//!
//! Source: `cpuset.Parse` of `k8s.io/utils`: numbers and ranges, with commas between them and nothing else.

use nvtopo::CpuSet;

/// Reads a list such as `0-3,64`.
///
/// Errors with the part that the kubelet does not take, and why.
pub(super) fn read(text: &str) -> Result<CpuSet, String> {
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let number = |word: &str| {
            let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| word.parse::<u64>().ok()).flatten()
        };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {}
            (Some(first), Some(last)) => {
                return Err(format!("the range {first}-{last} ends before it begins"));
            }
            _ if item.is_empty() => return Err("there is nothing before or behind a comma".to_owned()),
            _ if item.contains(char::is_whitespace) => {
                return Err(format!("{item:?} has a blank, which the kubelet does not take"));
            }
            _ if item.contains(':') => {
                return Err(format!("{item:?} has steps, which the kubelet does not take"));
            }
            _ => return Err(format!("{item:?} is neither a number nor a range such as 0-3")),
        }
    }
    text.parse().map_err(|error: nvtopo::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_those_that_go_reads() {
        for (list, cpus) in [("0", "0"), ("0-3,64-67", "0-3,64-67"), ("5,3,3-3", "3,5"), ("007", "7")] {
            assert_eq!(read(list).unwrap().to_string(), cpus, "{list}");
        }
        for (list, why) in [
            ("0-3, 112-115", "blank"),
            (" 0", "blank"),
            ("0-8:2,112-120:2", "steps"),
            ("5-1", "ends before it begins"),
            ("0,", "comma"),
            (",0", "comma"),
            ("", "comma"),
            ("abc", "neither"),
            ("0x3", "neither"),
            ("1-2-3", "neither"),
            ("-5", "neither"),
            ("^3", "neither"),
        ] {
            let told = read(list).unwrap_err();
            assert!(told.contains(why), "{list}: {told}");
        }
        assert!(read("99999999999999999999").is_err());
        assert!(read("0-18446744073709551615").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_none(text in "[-0-9, :x]{0,20}") {
            if let Ok(cpus) = read(&text) {
                prop_assert_eq!(Ok(cpus), text.parse().map_err(|_| String::new()));
            }
        }
    }
}
