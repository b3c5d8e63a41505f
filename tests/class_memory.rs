//! What machines of equal structure share, and its limit: a program of its own, since the memory is the process's.

#[path = "linked_pairs.rs"]
mod linked_pairs;

use linked_pairs::pairs;
use nvtopo::solve::{class_memory, set_class_memory};
use nvtopo::{Chooser, Topology};

#[test]
fn machines_of_equal_structure_share_memory_within_its_limit() {
    set_class_memory(64 << 20);
    let six: Vec<u32> = (0..6).collect();
    let one = Chooser::new(&pairs(1, &six)).unwrap();
    let before = class_memory();
    assert!(before > 0);
    let other = Chooser::new(&pairs(2, &six)).unwrap();
    assert_eq!(class_memory(), before, "another bus is no other structure");
    assert_eq!(one.choose(0b11_1110, 2), other.choose(0b11_1110, 2));
    let crossed = pairs(1, &[0, 2, 1, 3, 4, 5]);
    let chooser = Chooser::new(&crossed).unwrap();
    assert!(class_memory() > before, "other pairs are");
    assert_eq!(chooser.choose(0b00_1110, 2), Some(0b00_1010));
    let sixteen = Chooser::new(&Topology::preset("dgx-2").unwrap()).unwrap();
    assert!(class_memory() < 4_000_000 + 2 * before, "{}", class_memory());
    let before = class_memory();
    let _eight = Chooser::new(&Topology::preset("dgx-h100").unwrap()).unwrap();
    assert!(class_memory() - before < 200_000, "{}", class_memory() - before);
    let before = class_memory();
    let twenty = pairs(1, &(0..20).collect::<Vec<_>>());
    let chooser = Chooser::new(&twenty).unwrap();
    let one_list = class_memory() - before;
    assert!(one_list < 1_500_000, "{one_list}");
    let other = Chooser::by_objectives(&twenty, ["pair-sum"], None).unwrap();
    assert!(class_memory() > before + one_list, "the answers by each list of objectives count");
    assert_eq!(chooser.choose(0xf_ffff, 2), other.choose(0xf_ffff, 2));
    set_class_memory(0);
    assert_eq!(class_memory(), 0);
    assert_eq!(sixteen.choose(0xffff, 16), Some(0xffff), "what is in use stays");
    set_class_memory(64 << 20);
}
