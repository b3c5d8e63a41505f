//! Classes of cores, where a source tells only how much each can do, or how fast it may run.

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

/// The class of each core by its clock. `None`: they are alike, or clocks tell no two classes apart.
///
/// Most cores of one make differ a little, and the firmware of some machines ranks each of them. Two classes are two groups
/// of clocks that are a tenth of the best one apart, and farther than any two clocks within one of them.
pub(super) fn clocks(clocks: &[u32]) -> Option<Vec<CoreClass>> {
    let mut sorted = clocks.to_vec();
    sorted.sort_unstable();
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let (gap, below, above) =
        sorted.windows(2).map(|pair| (pair[1] - pair[0], pair[0], pair[1])).max_by_key(|(gap, ..)| *gap)?;
    if first == 0 || u64::from(gap) * 10 < u64::from(last) || gap <= below - first || gap <= last - above {
        return None;
    }
    let class = |clock: &u32| if *clock < above { CoreClass::Standard } else { CoreClass::Priority };
    Some(clocks.iter().map(class).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_make_two_classes_or_none() {
        let told = |values: &[u32]| {
            clocks(values).map(|classes| {
                classes
                    .iter()
                    .map(|class| if *class == CoreClass::Priority { '+' } else { '.' })
                    .collect::<String>()
            })
        };
        // Base clocks of a Xeon Gold 6252N, and turbo clocks of priority cores.
        assert_eq!(told(&[2100, 2100, 2800, 2100]).as_deref(), Some("..+."));
        assert_eq!(told(&[46, 39, 39, 46]).as_deref(), Some("+..+"));
        // A hybrid CPU of which nothing else is told, with two favoured cores.
        assert_eq!(told(&[64, 67, 39, 39]).as_deref(), Some("++.."));
        // Favoured cores differ a little.
        assert_eq!(told(&[45, 45, 47, 47]), None);
        // Preferred cores are ranked one by one.
        assert_eq!(told(&[236, 231, 221, 211, 206, 196, 186, 176, 171, 166]), None);
        assert_eq!(told(&[30, 30]), None);
        assert_eq!(told(&[0, 30]), None);
        assert_eq!(told(&[30]), None);
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[u32::MAX, 1]).as_deref(), Some("+."));
    }
}
