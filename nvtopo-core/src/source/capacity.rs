//! Kinds of cores, where a source tells only how much each can do.

use crate::model::CoreClass;

/// The class of each core by its capacity beside the best one (Linux: 1024). `None`: they are alike.
///
/// Cores of one kind differ a little where some may run at higher clocks: those of a GB10 have 997 to 1024 and 718 to
/// 731. So the kinds are told apart in the middle, and a tenth between the best and the least is no difference.
pub(super) fn classes(capacities: &[u32]) -> Option<Vec<CoreClass>> {
    let (least, best) = (u64::from(*capacities.iter().min()?), u64::from(*capacities.iter().max()?));
    if least * 10 >= best * 9 {
        return None;
    }
    let class = |capacity: &u32| {
        if u64::from(*capacity) * 2 > least + best { CoreClass::Performance } else { CoreClass::Efficiency }
    };
    Some(capacities.iter().map(class).collect())
}
