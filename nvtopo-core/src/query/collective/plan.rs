//! The class of hops that NCCL's rings use, and its rings where they leave NVLink.
//!
//! NCCL looks for rings of one speed, the greatest first, and at each speed over the best class of hops first: direct
//! NVLinks, then relays, then PCIe. Once rings are found, only slower ones over the same class or a better one can
//! replace them, down to half the speed; the greatest bandwidth of all rings together wins.

use super::directed::Search;
use super::hops::Hops;
use super::planned::SPEEDS;
use super::program::Carried;
use super::rings::{FEW_LOOKS, MAX_HOST_RINGS};
use crate::model::PathType;

/// The part of the speed of the best rings that slower ones must be faster than, in hundredths.
const LEAST_SPEED_PERCENT: u64 = 49;

/// Rings of one speed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) class: PathType,
    /// MB/s as NCCL plans.
    pub(super) speed: u64,
    pub(super) rings: Vec<Vec<u8>>,
    /// True where the search was exhaustive.
    pub(super) complete: bool,
}

/// Returns the class of NCCL's rings over NVLink alone, where there are such rings, and whether the search was
/// exhaustive.
pub(super) fn over_nvlink(hops: &Hops, search: &mut Search<'_>) -> (Option<PathType>, bool) {
    let fewest = hops.fewest();
    let mut complete = true;
    for speed in [2 * hops.planned, hops.planned] {
        for class in [PathType::Nvl, PathType::Nvb] {
            match search.carries(class, speed, fewest) {
                Carried::Yes => return (Some(class), complete),
                Carried::No => {}
                Carried::Unknown => complete = false,
            }
        }
    }
    (None, complete)
}

/// Returns the rings of most bandwidth that NCCL finds where NVLink alone carries no ring at the speed of a link.
pub(super) fn over_host(hops: &Hops, search: &mut Search<'_>) -> Option<Plan> {
    let (fewest, classes, widest) = (hops.fewest(), hops.classes(), hops.widest());
    let mut best: Option<Plan> = None;
    let mut complete = true;
    for speed in SPEEDS.into_iter().filter(|speed| *speed <= widest) {
        if best.as_ref().is_some_and(|best| speed * 100 <= best.speed * LEAST_SPEED_PERCENT) {
            break;
        }
        for class in &classes {
            if best.as_ref().is_some_and(|best| *class > best.class) {
                break;
            }
            // Faster ones over NVLink were searched before, and so were those over better classes.
            let searched = *class <= PathType::Nvb && speed >= hops.planned;
            if searched || !hops.has(*class, speed) {
                continue;
            }
            let most = hops.room(hops.capacity(), *class, speed).min(MAX_HOST_RINGS) as usize;
            // Fewer carry no more than the best so far.
            let carried = best.as_ref().map_or(0, |best| best.rings.len() as u64 * best.speed);
            let least = fewest.max((carried / speed) as usize + 1);
            if most < least {
                continue;
            }
            let (found, all) = search.most(*class, speed, least, most, FEW_LOOKS);
            complete &= all;
            if found >= least {
                best = Some(Plan { class: *class, speed, rings: search.rings.clone(), complete: true });
            }
        }
    }
    best.map(|best| Plan { complete, ..best })
}
