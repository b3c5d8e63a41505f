//! Sets of CPUs and of NUMA nodes, of any size, in the kernel's list and mask syntax.
//!
//! [`CpuSet`] and [`NodeSet`] are distinct types over one bitmap, so that a node number never becomes a CPU
//! number.

mod bitmap;

use crate::error::{Error, Result};
use bitmap::Bitmap;
use std::fmt;
use std::ops::{BitAndAssign, BitOrAssign};
use std::str::FromStr;

/// The highest index that a set holds. The kernel's own limits are 8192 CPUs and 1024 nodes; a text that names
/// more is damaged, and must not cost memory.
pub const MAX_INDEX: u32 = (1 << 16) - 1;

macro_rules! index_set {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Bitmap);

        impl $name {
            /// The empty set.
            pub fn new() -> Self {
                Self::default()
            }

            /// Adds an index. Returns false for one above [`MAX_INDEX`], which is left out.
            pub fn insert(&mut self, index: u32) -> bool {
                self.0.insert(index)
            }

            /// Removes an index.
            pub fn remove(&mut self, index: u32) {
                self.0.remove(index);
            }

            /// Returns true where the index is in the set.
            pub fn contains(&self, index: u32) -> bool {
                self.0.contains(index)
            }

            /// Returns the number of indices.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Returns true for the empty set.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// Returns the lowest index.
            pub fn first(&self) -> Option<u32> {
                self.iter().next()
            }

            /// Iterates over the indices in increasing order.
            pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
                self.0.iter()
            }

            /// Returns the indices that are in either set.
            #[must_use]
            pub fn union(&self, other: &Self) -> Self {
                Self(self.0.union(&other.0))
            }

            /// Returns the indices that are in both sets.
            #[must_use]
            pub fn intersection(&self, other: &Self) -> Self {
                Self(self.0.intersection(&other.0))
            }

            /// Returns the indices that are in this set and not in the other.
            #[must_use]
            pub fn difference(&self, other: &Self) -> Self {
                Self(self.0.difference(&other.0))
            }

            /// Returns true where every index of this set is in the other.
            pub fn is_subset(&self, other: &Self) -> bool {
                self.0.is_subset(&other.0)
            }

            /// Returns true where the sets share no index.
            pub fn is_disjoint(&self, other: &Self) -> bool {
                self.0.is_disjoint(&other.0)
            }

            /// The set in the kernel's mask syntax: groups of 32 bits in hexadecimal, highest first.
            pub fn to_mask(&self) -> String {
                self.0.write_mask()
            }

            /// The set as one hexadecimal number, as `srun --cpu-bind=mask_cpu` and `taskset` take it.
            pub fn to_hex(&self) -> String {
                self.0.write_hex()
            }

            /// The set as hwloc's tools write bitmaps: words of 32 bits, highest first, zero ones left empty.
            pub fn to_hwloc(&self) -> String {
                self.0.write_hwloc()
            }

            /// The set as systemd takes it (`CPUAffinity=`, `NUMAMask=`): ranges with blanks between them. Cgroups
            /// (`cpuset.cpus`) take the list that [`Display`](fmt::Display) writes.
            pub fn to_systemd(&self) -> String {
                self.to_string().replace(',', " ")
            }

            /// Reads the kernel's mask syntax, and a plain hexadecimal number with or without `0x`.
            pub fn from_mask(text: &str) -> Result<Self> {
                Bitmap::parse_mask(text).map(Self)
            }
        }

        /// [`intersection`](Self::intersection) in place.
        impl BitAndAssign<&Self> for $name {
            fn bitand_assign(&mut self, other: &Self) {
                self.0.keep(&other.0);
            }
        }

        /// [`union`](Self::union) in place.
        impl BitOrAssign<&Self> for $name {
            fn bitor_assign(&mut self, other: &Self) {
                self.0.add(&other.0);
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Bitmap::parse_list(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write_list(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        /// The [`union`](Self::union) of all.
        impl<'a> FromIterator<&'a Self> for $name {
            fn from_iter<I: IntoIterator<Item = &'a Self>>(sets: I) -> Self {
                let mut all = Self::new();
                for set in sets {
                    all |= set;
                }
                all
            }
        }

        impl FromIterator<u32> for $name {
            fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
                let mut set = Self::new();
                for index in indices {
                    set.insert(index);
                }
                set
            }
        }
    };
}

index_set! {
    /// A set of logical CPUs (processing units) by the kernel's numbers.
    ///
    /// ```
    /// use nvtopo::CpuSet;
    ///
    /// let cpus: CpuSet = "0-3,8".parse()?;
    /// assert_eq!(cpus.len(), 5);
    /// assert_eq!(cpus.to_string(), "0-3,8");
    /// assert_eq!(cpus.to_mask(), "0000010f");
    /// assert_eq!(CpuSet::from_mask("10f")?, cpus);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[doc(alias = "hwloc_cpuset_t")]
    #[doc(alias = "cpu_set_t")]
    CpuSet
}

index_set! {
    /// A set of NUMA nodes by the kernel's numbers.
    ///
    /// ```
    /// let nodes: nvtopo::NodeSet = "0,8,252-255".parse()?;
    /// assert!(nodes.contains(253));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[doc(alias = "hwloc_nodeset_t")]
    #[doc(alias = "nodemask_t")]
    NodeSet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn lists_of_the_kernel_are_read() {
        for (text, expected) in [
            ("", ""),
            ("0-0", "0"),
            ("3,1-2", "1-3"),
            ("0-7:2", "0,2,4,6"),
            ("0-9:2/5", "0-1,5-6"),
            (" 1 ,2\n", "1-2"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn broken_lists_are_errors() {
        for text in ["a", "1-", "-1", "3-1", "1,,2", "0-4294967295", "99999999999", "0-7:0", "0-7:3/2", "+1"]
        {
            assert!(text.parse::<CpuSet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn masks_of_the_kernel_are_read() {
        for (text, expected) in [
            ("ff", "0-7"),
            ("0x0000000f", "0-3"),
            ("00000001,00000000", "32"),
            ("1,00000000,00000000", "64"),
            ("0", ""),
            (" 0x1,0x00000003 ", "0-1,32"),
        ] {
            assert_eq!(CpuSet::from_mask(text).unwrap().to_string(), expected, "{text:?}");
        }
        let zeros = ",00000000".repeat(MAX_INDEX as usize / 32);
        assert_eq!(
            CpuSet::from_mask(&format!("80000000{zeros}")).unwrap().to_string(),
            MAX_INDEX.to_string()
        );
        let above = format!("1,00000000{zeros}");
        for text in ["", "g", "1,,2", "1,123456789", "é", "1,g0000000", &above] {
            assert!(CpuSet::from_mask(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sets_are_written_for_other_programs() {
        for (list, hex, hwloc, systemd) in [
            ("", "0x0", "0x0", ""),
            ("0-5", "0x3f", "0x0000003f", "0-5"),
            ("1,3-4", "0x1a", "0x0000001a", "1 3-4"),
            ("64-127", "0xffffffffffffffff0000000000000000", "0xffffffff,0xffffffff,,0x0", "64-127"),
            ("0,96", "0x1000000000000000000000001", "0x00000001,,,0x00000001", "0 96"),
        ] {
            let set: CpuSet = list.parse().unwrap();
            assert_eq!((set.to_hex().as_str(), set.to_hwloc().as_str()), (hex, hwloc), "{list}");
            assert_eq!(set.to_systemd(), systemd);
            assert_eq!(CpuSet::from_mask(&set.to_hex()).unwrap(), set);
        }
    }

    /// Indices of ordinary machines, and few of the highest.
    fn indices() -> impl Strategy<Value = BTreeSet<u32>> {
        let low = prop::collection::btree_set(0u32..300, 0..60);
        let high = prop::collection::btree_set(MAX_INDEX - 300..=MAX_INDEX, 0..3);
        (low, high, any::<[bool; 2]>()).prop_map(|(mut low, mut high, [with_low, with_high])| {
            low.retain(|_| with_low);
            high.retain(|_| with_high);
            &low | &high
        })
    }

    /// The words by which sets are ordered, from the first index on.
    fn words(set: &BTreeSet<u32>) -> Vec<u64> {
        let mut words = vec![0; set.last().map_or(0, |last| *last as usize / 64 + 1)];
        for index in set {
            words[*index as usize / 64] |= 1 << (index % 64);
        }
        words
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree_set(a in indices(), b in indices()) {
            let (x, y): (CpuSet, CpuSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.to_string().parse::<CpuSet>().unwrap(), x.clone());
            prop_assert_eq!(CpuSet::from_mask(&x.to_mask()).unwrap(), x.clone());
            prop_assert_eq!(x.union(&y).iter().collect::<BTreeSet<_>>(), &a | &b);
            let mut both = x.clone();
            both |= &y;
            prop_assert_eq!(&both, &x.union(&y));
            prop_assert_eq!([&x, &y].into_iter().collect::<CpuSet>(), x.union(&y));
            both &= &x;
            prop_assert_eq!(&both, &x);
            both &= &y;
            prop_assert_eq!(&both, &x.intersection(&y));
            prop_assert_eq!(x.intersection(&y).iter().collect::<BTreeSet<_>>(), &a & &b);
            prop_assert_eq!(x.difference(&y).iter().collect::<BTreeSet<_>>(), &a - &b);
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
            prop_assert_eq!(x.is_disjoint(&y), a.is_disjoint(&b));
            prop_assert!(x.intersection(&y).is_subset(&y));
            prop_assert_eq!(x == y, a == b);
            prop_assert_eq!(x.cmp(&y), words(&a).cmp(&words(&b)));
            let mut less = x.clone();
            for index in &b {
                less.remove(*index);
                prop_assert!(!less.contains(*index));
            }
            prop_assert_eq!(less, x.difference(&y));
        }
    }
}
