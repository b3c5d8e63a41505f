//! Matrices whose GPUs this process may run beside, wherever it runs.

use std::fmt::Write;

/// Returns the text of a matrix, a row of cells for each GPU, all beside one CPU that this process may use.
pub(crate) fn beside_one_cpu(rows: &[&str]) -> String {
    let cpu = nvtopo::apply::current_cpus().unwrap().first().unwrap();
    let mut text = String::new();
    for gpu in 0..rows.len() {
        write!(text, "\tGPU{gpu}").unwrap();
    }
    text += "\tCPU Affinity\n";
    for (gpu, row) in rows.iter().enumerate() {
        writeln!(text, "GPU{gpu}\t{row}\t{cpu}").unwrap();
    }
    text
}
