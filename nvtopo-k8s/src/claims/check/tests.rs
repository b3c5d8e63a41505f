//! Tests of checks, by recorded slices and claims and what the scheduler of Kubernetes 1.36 gave.

use super::*;
use crate::claims::tests::{STRIPED, striped};
use crate::claims::{ClaimOptions, Claims};
use proptest::prelude::*;

const PAIRS: &str = include_str!("../../../../tests/data/k8s/claims/striped-pairs.yaml");
const LISTS: &str = include_str!("../../../../tests/data/k8s/claims/lists-dgx-1.yaml");
const STALE: &str = include_str!("../../../../tests/data/k8s/claims/lists-stale.yaml");
const V1BETA1: &str = include_str!("../../../../tests/data/k8s/claims/amd-partition-v1beta1-cut.yaml");

fn run(text: &str, node: &str, only: &[&str], options: CheckOptions) -> Check {
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let options = CheckOptions { node: Some(node.to_owned()), only, ..options };
    check(("recorded", text), &[], None, &options).unwrap()
}

#[test]
fn slices_that_are_given_twice_count_once() {
    let options = CheckOptions { node: Some("gpu-b".to_owned()), ..CheckOptions::default() };
    let once = check(("claims", PAIRS), &[], None, &options).unwrap();
    assert_eq!(check(("claims", PAIRS), &[("objects", PAIRS)], None, &options).unwrap(), once);
    assert!(once.claims.iter().any(|claim| names(claim).is_some()));
}

fn names(checked: &Checked) -> Option<Vec<&str>> {
    match &checked.outcome {
        Outcome::Given(given) => Some(given.iter().map(|given| given.device[2].as_str()).collect()),
        _ => None,
    }
}

#[test]
fn recorded_claims_are_given_what_the_scheduler_gave() {
    let held = run(PAIRS, "gpu-b", &["hold0", "paira"], CheckOptions::default());
    assert_eq!(names(&held.claims[0]), Some(vec!["gpu-0"]));
    // The first pair is broken; the second alternative is linked.
    assert_eq!(names(&held.claims[1]), Some(vec!["gpu-1", "gpu-3"]));
    let Outcome::Given(given) = &held.claims[1].outcome else { panic!() };
    assert_eq!(given[0].request, "gpu/p1");
    let open = run(PAIRS, "gpu-c", &["plain", "plain3", "edge"], CheckOptions::default());
    assert_eq!(names(&open.claims[0]), Some(vec!["gpu-0", "gpu-1"]));
    assert_eq!(names(&open.claims[1]), Some(vec!["gpu-4", "gpu-5"]));
    // A list: no release before 1.37 compares it, with the gate or without.
    assert!(
        matches!(&open.claims[2].outcome, Outcome::Waits(why) if why.iter().any(|why| why.contains("is a list")))
    );
    let told = open.to_string();
    assert!(told.contains("plain on gpu-c: given\n  gpu  gpu.nvidia.com/gpu-c/gpu-0"), "{told}");
}

#[test]
fn lists_are_compared_as_the_scheduler_does_with_its_gate() {
    let gate = |version: u8| CheckOptions {
        version: Version::minor(version).unwrap(),
        list_attributes: true,
        ..CheckOptions::default()
    };
    let after = run(LISTS, "gpu-e", &["l1", "l4", "l3"], gate(37));
    assert_eq!(names(&after.claims[0]), Some(vec!["gpu-0"]));
    assert_eq!(names(&after.claims[1]), Some(vec!["gpu-4", "gpu-5", "gpu-6", "gpu-7"]));
    assert_eq!(names(&after.claims[2]), Some(vec!["gpu-1", "gpu-2", "gpu-3"]));
    let before = run(LISTS, "gpu-e", &["l4"], gate(36));
    assert_eq!(names(&before.claims[0]), None);
    // GPUs 0, 2 and 3 share a clique, which the search does not find again.
    assert_eq!(names(&run(STALE, "gpu-d", &["bt3"], gate(37)).claims[0]), None);
}

#[test]
fn better_gpus_are_named() {
    let addresses: Vec<PciAddress> = STRIPED.iter().map(|address| address.parse().unwrap()).collect();
    let options = CheckOptions {
        node: Some("gpu-c".to_owned()),
        only: vec!["plain".to_owned(), "plain3".to_owned()],
        addresses: addresses.clone(),
        ..CheckOptions::default()
    };
    let topology = striped();
    let checked = check(("recorded", PAIRS), &[], Some(&topology), &options).unwrap();
    let Some(Verdict::Better { gpus, why }) = &checked.claims[0].verdict else { panic!("{checked}") };
    assert_eq!(gpus, &[0, 2], "{why}");
    assert_eq!(checked.claims[1].verdict, Some(Verdict::Best), "{checked}");
    // What is generated is given the best, on the same slices, in every state.
    let made = ClaimOptions { addresses, ..ClaimOptions::gpus(2) };
    let claims = Claims::of(&[("n".to_owned(), &topology)], &made).unwrap();
    for taken in 0..256_u32 {
        let taken: Vec<String> =
            (0..8).filter(|gpu| taken >> gpu & 1 == 1).map(|gpu| format!("gpu-{gpu}")).collect();
        let options = CheckOptions { taken: taken.clone(), only: Vec::new(), ..options.clone() };
        let checked =
            check(("made", claims.yaml()), &[("slices", PAIRS)], Some(&topology), &options).unwrap();
        let linked = [[0, 2], [1, 3], [4, 5], [6, 7]];
        let free = |pair: &&[usize; 2]| pair.iter().all(|gpu| !taken.contains(&format!("gpu-{gpu}")));
        let expected = linked
            .iter()
            .find(free)
            .map(|pair| pair.iter().map(|gpu| format!("gpu-{gpu}")).collect::<Vec<_>>());
        let given =
            names(&checked.claims[0]).map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(given, expected, "{taken:?}");
        if expected.is_some() {
            assert_eq!(checked.claims[0].verdict, Some(Verdict::Best), "{taken:?}");
        }
    }
}

#[test]
fn a_search_without_end_is_given_up_and_missing_slices_are_told() {
    let devices: Vec<String> = (0..90)
        .map(|gpu| {
            format!(
                "  - {{name: gpu-{gpu}, attributes: {{type: {{string: gpu}}, grp: {{int: {}}}}}}}\n",
                gpu % 3
            )
        })
        .collect();
    let slice = format!(
        "kind: ResourceSlice\nmetadata: {{name: s}}\nspec:\n  driver: gpu.nvidia.com\n  nodeName: n1\n  pool: {{name: n1, generation: 1, \
         resourceSliceCount: 1}}\n  devices:\n{}",
        devices.concat()
    );
    let claim = |count: usize, constraint: &str| {
        format!(
            "kind: ResourceClaim\nmetadata: {{name: c}}\nspec: {{devices: {{requests: [{{name: r, exactly: {{deviceClassName: gpu.nvidia.com, \
             count: {count}}}}}], constraints: [{{{constraint}: gpu.nvidia.com/grp}}]}}}}\n"
        )
    };
    let checked =
        |claim: &str| check(("c", claim), &[("s", &slice)], None, &CheckOptions::default()).unwrap();
    // Each group has 30, and all sets of 30 would be tried.
    let long = checked(&claim(31, "matchAttribute"));
    assert!(matches!(&long.claims[0].outcome, Outcome::Unknown(why) if why.contains("steps")), "{long}");
    assert!(!long.all_given() && !long.to_string().contains("refuses"), "{long}");
    assert!(long.to_string().starts_with("c: what the scheduler does is not known here"), "{long}");
    // Four cannot differ where there are three values; three can.
    let few = checked(&claim(4, "distinctAttribute"));
    let reason = "4 devices are to differ in gpu.nvidia.com/grp, of which there are 3 values".to_owned();
    assert_eq!(few.claims[0].outcome, Outcome::Waits(vec![reason]));
    assert_eq!(
        names(&checked(&claim(3, "distinctAttribute")).claims[0]),
        Some(vec!["gpu-0", "gpu-1", "gpu-2"])
    );
    let error = check(("c", &claim(1, "matchAttribute")), &[], None, &CheckOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no slices"), "{error}");
}

#[test]
fn what_breaks_a_claim_is_told() {
    let claim = |request: &str| {
        format!(
            "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {{name: c}}\nspec: {{devices: {{requests: [{{name: gpu, \
             exactly: {request}}}]}}}}\n"
        )
    };
    let options = CheckOptions { node: Some("gpu-b".to_owned()), ..CheckOptions::default() };
    let outcome = |request: &str| {
        check(("claim", &claim(request)), &[("slices", PAIRS)], None, &options).unwrap().claims[0].clone()
    };
    let broken = |request: &str, word: &str| match outcome(request).outcome {
        Outcome::Broken(why) => assert!(why.contains(word), "{why}"),
        other => panic!("{request}: {other:?}"),
    };
    broken("{deviceClassName: other}", "'other' is not among");
    broken(
        "{deviceClassName: gpu.nvidia.com, selectors: [{cel: {expression: 'device.attributes[\"gpu.nvidia.com\"].none == 1'}}]}",
        "no such key: none",
    );
    broken(
        "{deviceClassName: gpu.nvidia.com, selectors: [{cel: {expression: 'device.driver =='}}]}",
        "ends too early",
    );
    broken(
        "{deviceClassName: gpu.nvidia.com, selectors: [{cel: {expression: 'device.driver'}}]}",
        "not true or false",
    );
    let unknown = |expression: &str, word: &str| {
        let request = format!(
            "{{deviceClassName: gpu.nvidia.com, selectors: [{{cel: {{expression: '{expression}'}}}}]}}"
        );
        match outcome(&request).outcome {
            Outcome::Unknown(why) => assert!(why.contains(word) && !why.contains("scheduler stops"), "{why}"),
            other => panic!("{request}: {other:?}"),
        }
    };
    unknown("device.driver.matches(\"^gpu.*$\")", "'matches' is not known here");
    unknown("device.attributes[\"gpu.nvidia.com\"].?x.orValue(1) == 1", "optional fields");
    unknown("device.attributes[?\"gpu.nvidia.com\"].hasValue()", "optional indices");
    unknown("device.driver in {\"a\": 1}", "maps are not known here");
    broken("{deviceClassName: gpu.nvidia.com, allocationMode: Some}", "mode Some");
    broken("{deviceClassName: gpu.nvidia.com, count: 33}", "33 devices");
    let waits = outcome("{deviceClassName: gpu.nvidia.com, count: 9}");
    assert_eq!(
        waits.outcome,
        Outcome::Waits(vec!["gpu asks for 9: 8 devices match, 8 of them free".to_owned()])
    );
    let strange = outcome(
        "{deviceClassName: gpu.nvidia.com, selectors: [{cel: {expression: 'device.attributes[\"resource.kubernetes.io\"].pciBusID in [\"0000:02:00.0\"]'}}]}",
    );
    assert!(strange.remarks.iter().any(|remark| remark.contains("0000:02:00.0")), "{strange:?}");
    assert!(
        check(("claim", &claim("{}")), &[("slices", PAIRS)], None, &CheckOptions::default())
            .unwrap_err()
            .to_string()
            .contains("2 nodes")
    );
    let all = outcome("{deviceClassName: gpu.nvidia.com, allocationMode: All}");
    assert_eq!(names(&all).map(|names| names.len()), Some(8));
    let old = CheckOptions { version: Version::minor(32).unwrap(), ..options };
    let checked =
        check(("pairs", PAIRS), &[], None, &CheckOptions { only: vec!["paira".to_owned()], ..old }).unwrap();
    assert!(matches!(&checked.claims[0].outcome, Outcome::Broken(why) if why.contains("firstAvailable")));
}

#[test]
fn older_shapes_of_slices_and_claims_are_read() {
    // The recorded slice was cut before its driver, pool and node.
    let slice = format!(
        "{V1BETA1}  driver: gpu.amd.com\n  nodeName: n1\n  pool: {{name: n1, generation: 1, resourceSliceCount: 1}}\n"
    );
    let claim = "apiVersion: resource.k8s.io/v1beta1\nkind: ResourceClaimTemplate\nmetadata: {name: c}\nspec: {spec: {devices: {requests: [{name: gpu, \
                 deviceClassName: gpu.amd.com, selectors: [{cel: {expression: 'device.attributes[\"gpu.amd.com\"].driverVersion.isGreaterThan(semver(\"6.9.0\")) && \
                 device.capacity[\"gpu.amd.com\"].memory.compareTo(quantity(\"96Gi\")) >= 0 && device.attributes[\"other\"].size() == 0'}}]}]}}}\n";
    let class = "apiVersion: resource.k8s.io/v1beta1\nkind: DeviceClass\nmetadata: {name: gpu.amd.com}\nspec: {selectors: [{cel: {expression: 'device.driver == \"gpu.amd.com\"'}}]}\n";
    // `size` of an unknown domain is 0, for it is an empty map.
    let checked =
        check(("claim", claim), &[("slice", &slice), ("class", class)], None, &CheckOptions::default())
            .unwrap();
    assert_eq!(names(&checked.claims[0]), None, "{checked}");
    let claim = claim.replace("96Gi", "95Gi");
    let checked =
        check(("claim", &claim), &[("slice", &slice), ("class", class)], None, &CheckOptions::default())
            .unwrap();
    assert_eq!(names(&checked.claims[0]), Some(vec!["gpu-32-160"]), "{checked}");
}

#[test]
fn shared_devices_are_given_in_parts_and_tainted_ones_to_who_bears_it() {
    let slice = "kind: ResourceSlice\nmetadata: {name: s}\nspec:\n  driver: dra.cpu\n  nodeName: n1\n  pool: {name: n1, generation: 1, resourceSliceCount: 1}\n  devices:\n  - {name: n0, allowMultipleAllocations: true, attributes: {resource.kubernetes.io/numaNode: {int: 0}}, capacity: {dra.cpu/cpu: {value: '8'}}}\n  - {name: n1, allowMultipleAllocations: true, attributes: {resource.kubernetes.io/numaNode: {int: 1}}, capacity: {dra.cpu/cpu: {value: '8'}}, taints: [{key: broken, value: x, effect: NoSchedule}]}\n";
    let claim = |requests: &str| {
        format!("kind: ResourceClaim\nmetadata: {{name: c}}\nspec: {{devices: {{requests: [{requests}]}}}}\n")
    };
    let request = |name: &str, cpus: u32, more: &str| {
        format!(
            "{{name: {name}, exactly: {{deviceClassName: dra.cpu, capacity: {{requests: {{dra.cpu/cpu: '{cpus}'}}}}{more}}}}}"
        )
    };
    let given = |requests: &str| {
        let checked =
            check(("c", &claim(requests)), &[("s", slice)], None, &CheckOptions::default()).unwrap();
        names(&checked.claims[0]).map(|names| names.join(" "))
    };
    assert_eq!(given(&[request("a", 5, ""), request("b", 3, "")].join(", ")).as_deref(), Some("n0 n0"));
    assert_eq!(given(&[request("a", 5, ""), request("b", 4, "")].join(", ")), None);
    let bears = ", tolerations: [{key: broken, operator: Exists}]";
    assert_eq!(given(&[request("a", 5, ""), request("b", 4, bears)].join(", ")).as_deref(), Some("n0 n1"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", claim in "[a-zA-Z:{}\\[\\],\" \n-]{0,120}") {
        let _ = check(("claim", &claim), &[("slices", &text)], None, &CheckOptions::default());
        let _ = check(("claim", PAIRS), &[("slices", &text)], None, &CheckOptions::default());
    }
}
