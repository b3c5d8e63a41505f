//! Environment variables that undo a binding. Callers pass them in: the core reads no environment.

/// The variables that [`hazards`] checks.
pub static HAZARD_VARIABLES: [&str; 4] = ["OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"];

/// Returns a warning for each set variable that undoes a binding. Nothing is set or unset.
///
/// ```
/// use nvtopo::apply::hazards;
///
/// let warnings = hazards(|name| (name == "OMP_PROC_BIND").then(|| "close".to_owned())); // std::env::var(name).ok()
/// assert!(warnings[0].starts_with("OMP_PROC_BIND=close undoes the binding"));
/// assert!(hazards(|name| (name == "OMP_PROC_BIND").then(|| "false".to_owned())).is_empty());
/// ```
pub fn hazards(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let given = HAZARD_VARIABLES.into_iter().filter_map(|name| Some((name, variable(name)?)));
    given
        .filter(|(name, value)| !value.trim().is_empty() && !is_harmless(name, value))
        .map(|(name, value)| format!("{name}={} undoes the binding: {}; unset it", value.trim(), what(name)))
        .collect()
}

/// Returns true where OpenMP binds nothing by this value. Values are lists, as in `KMP_AFFINITY=verbose,disabled`.
fn is_harmless(name: &str, value: &str) -> bool {
    let harmless: &[&str] = match name {
        "OMP_PROC_BIND" => &["false"],
        "KMP_AFFINITY" => &["disabled", "none"],
        _ => &[],
    };
    value.split(',').any(|word| harmless.iter().any(|other| other.eq_ignore_ascii_case(word.trim())))
}

fn what(name: &str) -> &'static str {
    match name {
        "GOMP_CPU_AFFINITY" => "GNU OpenMP puts threads on these CPUs, even outside those that were given",
        "KMP_AFFINITY" => "Intel's OpenMP binds its threads by itself",
        _ => "OpenMP binds the thread that first uses it, and what that starts, to one place",
    }
}
