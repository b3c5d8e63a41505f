//! The main job: what is this machine, which GPUs are best for a job, and this process bound beside them.
//!
//! `cargo run --release --package nvtopo-core --features nvml --example place_and_bind [GPUs]`

use nvtopo::apply::{BindOptions, Trust, bind, current_cpus};
use nvtopo::{Part, Request, Result, Topology};
use nvtopo_draw::{Style, by_name};

/// The preset that is shown where there is no GPU.
const PRESET: &str = "dgx-1-v100";

fn main() -> Result<()> {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2);
    let (topology, trust) = machine()?;
    let text = by_name("text")?;
    println!("{}", text.topology(&topology, Style::default()));

    let placement = Request::gpus(count).allowed_cpus(current_cpus()?).solve(&topology)?;
    println!("nvtopo place --gpus {count}\n{}", text.placement(&placement, Style::default()));

    let options = BindOptions::default().with_trust(trust);
    let bound = bind(&topology, &Part::of_placement(&placement, None)?, options)?;
    for warning in &bound.warnings {
        println!("note · {warning}");
    }
    println!("This process ran on CPUs {} and is now bound to CPUs {}.", bound.before, bound.after);
    Ok(())
}

/// This machine, or a preset where it has no GPU.
fn machine() -> Result<(Topology, Trust)> {
    let topology = Topology::discover()?;
    if topology.gpus().len() > 0 {
        return Ok((topology, Trust::ThisMachine));
    }
    println!("This machine has no NVIDIA GPU: the preset {PRESET} stands in for one.\n");
    Ok((Topology::preset(PRESET)?, Trust::Unknown))
}
