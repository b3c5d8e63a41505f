//! The mapping of ranks to GPUs, and the time that it saves.

use super::{Style, bold, dim, head, lines, table};
use crate::words;
use comfy_table::Cell;
use nvtopo::RankMap;
use nvtopo::solve::DimensionTime;
use std::fmt::Write;

/// The number of ranks in a line.
const WIDTH: usize = 8;

pub(super) fn ranks(map: &RankMap, style: Style) -> String {
    let name = |gpu: &usize| words::name(map.topology(), *gpu);
    let mut out = format!("{}, in the order {}\n\n", bold(map.shape(), style), map.order());
    let mut dealt = table(style);
    for (line, gpus) in map.gpu_of_rank().chunks(WIDTH).enumerate() {
        let first = line * WIDTH;
        let ranks = if gpus.len() == 1 {
            format!("rank {first}")
        } else {
            format!("ranks {first}-{}", first + gpus.len() - 1)
        };
        dealt.add_row(std::iter::once(head(ranks)).chain(gpus.iter().map(|gpu| Cell::new(name(gpu)))));
    }
    out += &lines(dealt);
    out += "\n";
    if !map.dimensions().is_empty() {
        let mut times = table(style);
        times.set_header(
            ["", "moves", "slowest group", "bandwidth", "time", "in the launcher's order"].map(head),
        );
        for own in map.dimensions() {
            let gpus: Vec<String> = own.worst.gpus.iter().map(name).collect();
            times.add_row([
                head(map.order().word(own.dimension)),
                Cell::new(bytes(own.bytes)),
                Cell::new(gpus.join(" ")),
                Cell::new(own.worst.bandwidth),
                Cell::new(seconds(own.seconds)),
                Cell::new(before(own)),
            ]);
        }
        out += &lines(times);
        out += "\n";
    }
    let own = seconds(map.seconds());
    let gain = if map.gpu_of_rank() == map.launcher_order() {
        "in the launcher's order".to_owned()
    } else {
        let launcher = seconds(map.launcher_seconds());
        format!("{:.2}x as fast as in the launcher's order ({launcher})", map.gain())
    };
    let _ = writeln!(out, "{own} of communication in a step, {gain}");
    let proof = if map.is_optimal() {
        "optimal: no mapping communicates in less time".to_owned()
    } else {
        format!("not proven optimal: no mapping takes less than {}", seconds(map.bound_seconds()))
    };
    let _ = writeln!(out, "{}", dim(&proof, style));
    let variables: Vec<String> =
        map.cuda_environment().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let _ = writeln!(out, "\n{}", variables.join(" "));
    let how =
        "with these, torchrun, mpirun or srun give each rank its GPU; the deepspeed command would sort them";
    let _ = writeln!(out, "{}", dim(how, style));
    out
}

fn before(own: &DimensionTime) -> String {
    format!("{}, {}", own.launcher_worst.bandwidth, seconds(own.launcher_seconds))
}

/// Returns a time with the unit that fits.
fn seconds(seconds: f64) -> String {
    match seconds {
        _ if seconds <= 0.0 => "0 s".to_owned(),
        _ if seconds >= 1.0 => format!("{seconds:.3} s"),
        _ if seconds >= 1e-3 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds >= 5e-8 => format!("{:.1} µs", seconds * 1e6),
        _ => "less than 0.1 µs".to_owned(),
    }
}

/// Returns a number of bytes in powers of 1000, as bandwidths are.
fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        value if value >= 1e9 => format!("{:.1} GB", value / 1e9),
        value if value >= 1e6 => format!("{:.1} MB", value / 1e6),
        value if value >= 1e3 => format!("{:.1} kB", value / 1e3),
        value => format!("{value} B"),
    }
}
