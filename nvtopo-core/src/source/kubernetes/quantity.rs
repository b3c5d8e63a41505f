//! Quantities of Kubernetes, such as `80Gi` or `16`, in whole units: bytes, or CPUs.
//!
//! Source: `ParseQuantity` of `k8s.io/apimachinery/pkg/api/resource`.

/// The suffixes with their factors. The finest parts, such as thousandths of a CPU, are no whole units.
const SUFFIXES: [(&str, u128); 13] = [
    ("", 1),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

/// Reads a quantity of whole units; `None` where it is none.
pub(super) fn whole(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (number, factor, divisor) = match SUFFIXES.iter().find(|(own, _)| *own == suffix) {
        Some((_, factor)) => (number, *factor, 1),
        None if suffix == "m" => (number, 1, 1_000),
        None => (number, 10_u128.checked_pow(suffix.strip_prefix(['e', 'E'])?.parse().ok()?)?, 1),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let divisor = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?.checked_mul(divisor)?;
    let scaled = digits.checked_mul(factor)?;
    (scaled % divisor == 0).then(|| u64::try_from(scaled / divisor).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn quantities_are_read_as_whole_units() {
        for (text, units) in [
            ("80Gi", Some(80 << 30)),
            ("98296Mi", Some(98296 << 20)),
            ("68590714880", Some(68_590_714_880)),
            ("1.5Ki", Some(1536)),
            ("129e6", Some(129_000_000)),
            ("129M", Some(129_000_000)),
            ("64000m", Some(64)),
            ("0", Some(0)),
            ("1500m", None),
            ("0.1", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("-1", None),
            ("80GB", None),
            ("1e99", None),
            ("99999999999999999999999999999999999999999", None),
            ("99999999999Ei", None),
        ] {
            assert_eq!(whole(text), units, "{text}");
        }
    }
}
