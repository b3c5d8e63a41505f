//! Sets of up to 128 members as bits.

/// Iterates over the members of a set, increasing.
pub(crate) fn members(mut set: u128) -> impl Iterator<Item = usize> + Clone {
    std::iter::from_fn(move || {
        if set == 0 {
            return None;
        }
        let member = set.trailing_zeros() as usize;
        set &= set - 1;
        Some(member)
    })
}

/// Returns the connected component of a member within a set, by the neighbours of each.
pub(crate) fn component(near: &[u128], from: usize, set: u128) -> u128 {
    let mut reached: u128 = 1 << from;
    let mut fresh = reached;
    while fresh != 0 && reached != set {
        let next = near[fresh.trailing_zeros() as usize] & set & !reached;
        reached |= next;
        fresh = fresh & (fresh - 1) | next;
    }
    reached
}
