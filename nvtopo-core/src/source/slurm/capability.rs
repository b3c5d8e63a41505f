//! Device files of MIG instances, by their numbers.
//!
//! Source: `/proc/driver/nvidia-caps/mig-minors`, the same with every driver: from 3 on, for each GPU 15 GPU instances, each
//! with its own number and those of 8 compute instances.

const FIRST: u32 = 3;
const OF_GPU: u32 = 135;
const OF_INSTANCE: u32 = 9;
/// More than any number of a GPU.
const MOST_MINOR: u32 = 4096;

/// Returns the numbers of the files of a GPU instance and of a compute instance in it.
pub(super) fn numbers(minor: u32, gpu_instance: u32, compute_instance: u32) -> Option<(u32, u32)> {
    let is_known =
        minor <= MOST_MINOR && gpu_instance < OF_GPU / OF_INSTANCE && compute_instance + 1 < OF_INSTANCE;
    let own = FIRST + OF_GPU * minor.min(MOST_MINOR) + OF_INSTANCE * gpu_instance.min(15);
    is_known.then_some((own, own + 1 + compute_instance.min(8)))
}

/// Returns the number of the GPU of a file, its GPU instance, and its compute instance where the file is of one. `None`: the
/// file is of no instance.
pub(super) fn of_file(number: u32) -> Option<(u32, u32, Option<u32>)> {
    let within = number.checked_sub(FIRST)?;
    let (minor, within) = (within / OF_GPU, within % OF_GPU);
    let (gpu_instance, own) = (within / OF_INSTANCE, within % OF_INSTANCE);
    (minor <= MOST_MINOR).then(|| (minor, gpu_instance, own.checked_sub(1)))
}

/// Returns the GPU instance and compute instance of a GPU whose files have these numbers, in order.
pub(super) fn read(minor: u32, files: &[u32]) -> Option<(u32, u32)> {
    let [first, own] = files else { return None };
    let within = first.checked_sub(FIRST)?.checked_sub(OF_GPU.checked_mul(minor)?)?;
    let (gpu_instance, compute_instance) = (within / OF_INSTANCE, own.checked_sub(*first)?.checked_sub(1)?);
    (numbers(minor, gpu_instance, compute_instance)? == (*first, *own))
        .then_some((gpu_instance, compute_instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NVIDIA's guide to MIG lists gpu0/gi1/access 12 and gpu0/gi1/ci0/access 13.
    #[test]
    fn numbers_are_those_of_the_guide() {
        assert_eq!(numbers(0, 1, 0), Some((12, 13)));
        assert_eq!(read(0, &[12, 13]), Some((1, 0)));
        assert_eq!(read(1, &[147, 148]), Some((1, 0)));
        for files in [&[12][..], &[12, 12], &[12, 21], &[2, 3], &[13, 14], &[12, 13, 14]] {
            assert_eq!(read(0, files), None, "{files:?}");
        }
        assert_eq!(of_file(12), Some((0, 1, None)));
        assert_eq!(of_file(13), Some((0, 1, Some(0))));
        assert_eq!(of_file(147), Some((1, 1, None)));
        assert_eq!((of_file(2), of_file(u32::MAX)), (None, None));
        assert_eq!(numbers(0, 15, 0), None);
        assert_eq!(numbers(0, 0, 8), None);
        assert_eq!(read(u32::MAX, &[12, 13]), None);
    }
}
