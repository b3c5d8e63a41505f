//! Quantities of Kubernetes, such as `1Gi`, as numbers of thousandths.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource/quantity.go`.

/// The thousandths of a quantity, rounded up; `None` where it is none or is larger than a machine holds.
pub(super) fn milli(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + part.len() > 24 || (whole.is_empty() && part.is_empty()) || part.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let mut below = 10i128.pow(u32::try_from(part.len()).ok()?);
    let above = match suffix {
        "" => 1_000,
        "m" => 1,
        "u" | "n" => {
            below *= if suffix == "u" { 1_000 } else { 1_000_000 };
            1
        }
        _ => factor(suffix, &mut below)?,
    };
    let product = digits.checked_mul(above)?;
    let value = product / below + i128::from(product % below != 0);
    Some(if negative { -value } else { value })
}

/// The factor of a suffix, in thousandths; a divisor goes into `below`.
fn factor(suffix: &str, below: &mut i128) -> Option<i128> {
    const SUFFIXES: &[(&str, i128)] = &[
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
    ];
    if let Some((_, factor)) = SUFFIXES.iter().find(|(own, _)| *own == suffix) {
        return Some(factor * 1_000);
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    if exponent < 0 {
        *below *= 10i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent > -10)?;
        return Some(1_000);
    }
    Some(10i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent < 19)? * 1_000)
}

/// Mebibytes as the shortest exact quantity.
pub(super) fn mebibytes(count: u64) -> String {
    if count > 0 && count.is_multiple_of(1024) { format!("{}Gi", count / 1024) } else { format!("{count}Mi") }
}

/// Bytes, in thousandths, for people: the shortest exact quantity.
pub(super) fn shown(milli: i128) -> String {
    let bytes = milli / 1000;
    let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let exact = units.into_iter().find(|(shift, _)| bytes != 0 && bytes % (1 << shift) == 0);
    match exact {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1_000)),
            ("500m", Some(500)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("100Mi", Some(104_857_600_000)),
            ("1k", Some(1_000_000)),
            ("1e3", Some(1_000_000)),
            ("1E3", Some(1_000_000)),
            ("1E", Some(1_000_000_000_000_000_000_000)),
            (".5", Some(500)),
            ("5.", Some(5_000)),
            ("0.1m", Some(1)),
            ("-1", Some(-1_000)),
            ("", None),
            (".", None),
            ("Gi", None),
            ("1GiB", None),
            ("1 Gi", None),
            ("1.2.3", None),
            ("10%", None),
            ("1e99", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
        assert_eq!((mebibytes(2048), mebibytes(100)), ("2Gi".to_owned(), "100Mi".to_owned()));
        assert_eq!(shown(milli("1100Mi").unwrap()), "1100Mi");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(count in 1u64..1 << 24) {
            let text = mebibytes(count);
            prop_assert_eq!(milli(&text), Some(i128::from(count << 20) * 1000));
            prop_assert_eq!(shown(milli(&text).unwrap()), text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = milli(&text);
        }
    }
}
