//! `nvtopo draw`: a picture of the machine, with what `place` would choose.

use super::{open_with, request};
use crate::args::DrawArgs;
use crate::commands::bind::variable;
use crate::output::{not_written, print_bytes};
use nvtopo::apply::{Scope, cpus_here, visible_here};
use nvtopo::{Error, Placement, Result, Topology, save_file};
use nvtopo_draw::{Picture, PictureFormat};
use std::io::{self, IsTerminal};
use std::path::Path;

/// The pixels of a PNG for each unit of the drawing, unless asked for otherwise: letters are sharp on usual screens.
const SCALE: f32 = 2.0;

pub(crate) fn draw(args: &DrawArgs) -> Result<String> {
    let named = PictureFormat::of_file(&args.output).unwrap_or(PictureFormat::Svg);
    let format = args.format.map_or(named, PictureFormat::from);
    if args.scale.is_some() && format != PictureFormat::Png {
        let why = format!("--scale says how many pixels a PNG has, and {} has none", format.name());
        return Err(Error::wrong_use(why, "leave it out, or name the file .png"));
    }
    let to_stdout = args.output == Path::new("-");
    if to_stdout && format == PictureFormat::Png && io::stdout().is_terminal() {
        return Err(not_written(io::Error::other("a PNG is no text for a terminal; give -o FILE")));
    }
    let topology = open_with(&args.source, &args.rates)?;
    let placement = args.gpus.map(|gpus| chosen(args, gpus, &topology)).transpose()?;
    let mut picture =
        Picture::new(&topology).with_theme(args.theme.into()).with_scale(args.scale.unwrap_or(SCALE));
    if let Some(placement) = &placement {
        picture = picture.with_placement(placement);
    }
    let drawn = picture.draw(format)?;
    if to_stdout {
        print_bytes(&drawn)?;
    } else {
        save_file(&args.output, &drawn)?;
    }
    Ok(String::new())
}

/// Chooses as `place` does.
fn chosen(args: &DrawArgs, gpus: usize, topology: &Topology) -> Result<Placement> {
    let limits = args.cpus.limits(cpus_here(topology, Scope::default())?);
    let mut request = request(gpus, &args.choice, &limits)?;
    if let Some(visible) = visible_here(topology, &variable) {
        request = request.visible(&visible);
    }
    request.solve(topology)
}
