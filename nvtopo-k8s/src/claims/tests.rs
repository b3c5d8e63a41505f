//! Tests of claims.

use super::*;
use k8s_openapi::api::resource::{v1, v1beta1};

/// The addresses of a machine with striped pairs of A100, as its slices show them.
pub(super) const STRIPED: [&str; 8] = [
    "0000:01:00.0",
    "0000:25:00.0",
    "0000:41:00.0",
    "0000:61:00.0",
    "0000:81:00.0",
    "0000:a1:00.0",
    "0000:c1:00.0",
    "0000:e1:00.0",
];

fn addresses() -> Vec<PciAddress> {
    STRIPED.iter().map(|address| address.parse().unwrap()).collect()
}

/// Eight GPUs in these bridged pairs.
pub(super) fn paired(pairs: &[(usize, usize)]) -> Topology {
    let cell = |a: usize, b: usize| match () {
        () if a == b => "\t X ",
        () if pairs.contains(&(a.min(b), a.max(b))) => "\tNV12",
        () => "\tSYS",
    };
    let header: Vec<String> = (0..8).map(|gpu| format!("\tGPU{gpu}")).collect();
    let row = |a: usize| {
        let cells: Vec<&str> = (0..8).map(|b| cell(a, b)).collect();
        format!("GPU{a}{}\t{1}\t{1}\n", cells.concat(), a / 4)
    };
    let rows: Vec<String> = (0..8).map(row).collect();
    let text = format!("{}\tCPU Affinity\tNUMA Affinity\n{}", header.concat(), rows.concat());
    Topology::parse("text", text.as_bytes()).unwrap()
}

pub(super) fn striped() -> Topology {
    paired(&[(0, 2), (1, 3), (4, 5), (6, 7)])
}

fn make(topology: &Topology, options: &ClaimOptions) -> Result<Claims> {
    Claims::of(&[("n".to_owned(), topology)], options)
}

/// Every document that is made, read as an object of its version and written again, is the same.
fn round_trip(text: &str) -> usize {
    let mut documents = 0;
    for document in text.split("---\n") {
        let own: Vec<serde_json::Value> = crate::yaml::read("own", document).unwrap();
        let kind = (own[0]["apiVersion"].as_str().unwrap(), own[0]["kind"].as_str().unwrap());
        let again = match kind {
            ("resource.k8s.io/v1", "ResourceClaimTemplate") => serde_json::to_value(
                serde_json::from_value::<v1::ResourceClaimTemplate>(own[0].clone()).unwrap(),
            ),
            ("resource.k8s.io/v1beta1", "ResourceClaimTemplate") => serde_json::to_value(
                serde_json::from_value::<v1beta1::ResourceClaimTemplate>(own[0].clone()).unwrap(),
            ),
            ("resource.k8s.io/v1", "DeviceClass") => {
                serde_json::to_value(serde_json::from_value::<v1::DeviceClass>(own[0].clone()).unwrap())
            }
            ("resource.k8s.io/v1beta1", "DeviceClass") => {
                serde_json::to_value(serde_json::from_value::<v1beta1::DeviceClass>(own[0].clone()).unwrap())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(again.unwrap(), own[0]);
        documents += 1;
    }
    documents
}

#[test]
fn striped_pairs_are_claimed_in_the_recorded_order() {
    let mut options = ClaimOptions::gpus(2);
    options.addresses = addresses();
    let claims = make(&striped(), &options).unwrap();
    let pairs: Vec<&[usize]> =
        claims.alternatives().iter().map(|alternative| &alternative.gpus[..]).collect();
    assert_eq!(pairs, [[0, 2], [1, 3], [4, 5], [6, 7]]);
    let template: Vec<v1::ResourceClaimTemplate> = crate::yaml::read("own", claims.yaml()).unwrap();
    let requests = template[0].spec.clone().unwrap().spec.unwrap().devices.unwrap().requests.unwrap();
    let first = &requests[0].first_available.as_ref().unwrap()[0];
    assert_eq!((first.name.as_str(), first.count), ("p0", Some(2)));
    let expression = &first.selectors.as_ref().unwrap()[0].cel.as_ref().unwrap().expression;
    assert!(expression.ends_with(r#".pciBusID in ["0000:01:00.0", "0000:41:00.0"]"#), "{expression}");
}

#[test]
fn of_equally_linked_sets_those_nearest_to_a_nic_come_first() {
    // The striped pairs, with one NIC whose path from each pair is another one.
    let mut near = [("SYS", [0, 2]), ("NODE", [1, 3]), ("PHB", [4, 5]), ("PIX", [6, 7])];
    for turn in 0..near.len() {
        let path = |gpu: usize| near.iter().find(|(_, pair)| pair.contains(&gpu)).unwrap().0;
        let cell = |a: usize, b: usize| match () {
            () if a == b => "\tX",
            () if near.iter().any(|(_, pair)| pair.contains(&a) && pair.contains(&b)) => "\tNV12",
            () => "\tSYS",
        };
        let row = |a: usize| {
            let cells: String = (0..8).map(|b| cell(a, b)).collect();
            format!("GPU{a}{cells}\t{}\t0-31\t0\n", path(a))
        };
        let gpus = (0..8).map(|gpu| format!("\tGPU{gpu}")).collect::<Vec<_>>().concat();
        let nic = (0..8).map(|gpu| ["\t", path(gpu)].concat()).collect::<Vec<_>>().concat();
        let rows: String = (0..8).map(row).collect();
        let text = format!(
            "{gpus}\tNIC0\tCPU Affinity\tNUMA Affinity\n{rows}NIC0{nic}\tX\n\nNIC Legend:\n\n  NIC0: mlx5_0\n"
        );
        let topology = Topology::parse("text", text.as_bytes()).unwrap();
        let mut options = ClaimOptions::gpus(2);
        options.addresses = addresses();
        let claims = make(&topology, &options).unwrap();
        let pairs: Vec<&[usize]> = claims.alternatives().iter().map(|one| &one.gpus[..]).collect();
        let expected: Vec<[usize; 2]> = ["PIX", "PHB", "NODE", "SYS"]
            .map(|path| near.iter().find(|(own, _)| *own == path).unwrap().1)
            .to_vec();
        assert_eq!(pairs, expected, "{turn}");
        // The same paths, each before another pair.
        let first = near[0].0;
        for at in 0..3 {
            near[at].0 = near[at + 1].0;
        }
        near[3].0 = first;
    }
}

#[test]
fn every_version_has_its_objects_or_a_reason() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    for version in Version::all() {
        let mut options = ClaimOptions::gpus(2).version(version);
        options.device_classes = true;
        let Ok(claims) = make(&dgx, &options) else {
            assert!(version < Version::minor(32).unwrap());
            continue;
        };
        assert!(version >= Version::minor(32).unwrap());
        let separate = version.to_string() == "1.32";
        assert_eq!(round_trip(claims.yaml()), if separate { 6 } else { 2 }, "{version}");
        assert_eq!(claims.yaml().contains("firstAvailable"), !separate);
        assert!(!claims.yaml().contains("exactly:"));
        options.rdma = true;
        options.cpus_per_gpu = Some(4);
        let joint = make(&dgx, &options).unwrap();
        assert_eq!(round_trip(joint.yaml()), 3 + joint.alternatives().len(), "{version}");
        assert!(
            joint.yaml().contains("deviceClassName: dranet")
                && joint.yaml().contains("deviceClassName: dra.cpu")
        );
        options.gpus = 1;
        options.cpus_per_gpu = None;
        let single = make(&dgx, &options).unwrap();
        round_trip(single.yaml());
        assert_eq!(
            single.yaml().contains("matchAttribute: resource.kubernetes.io/pcieRoot"),
            !separate,
            "{}",
            single.yaml()
        );
    }
}

#[test]
fn derived_attributes_tie_requests_to_one_another() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    let mut options = ClaimOptions::gpus(2);
    options.derived = true;
    let plain = make(&dgx, &options).unwrap();
    assert!(plain.yaml().contains("matchAttribute: nvtopo.io/nvlinkGroup"), "{}", plain.yaml());
    assert!(plain.yaml().starts_with("# g0: any 2 of GPU0, GPU1,"), "{}", plain.yaml());
    let all = ClaimOptions { derived: true, addresses: addresses(), ..ClaimOptions::gpus(2) };
    let groups = make(&striped(), &all).unwrap();
    let template: Vec<v1::ResourceClaimTemplate> = crate::yaml::read("own", groups.yaml()).unwrap();
    let devices = template[0].spec.clone().unwrap().spec.unwrap().devices.unwrap();
    let exactly = devices.requests.unwrap()[0].exactly.clone().unwrap();
    let expression = &exactly.derived_attributes.unwrap()[0].expression;
    assert!(
        expression.contains("\"0000:41:00.0\"] ? \"g0\" : ") && expression.ends_with(": \"g3\""),
        "{expression}"
    );
    round_trip(plain.yaml());
    options.rdma = true;
    options.cpus_per_gpu = Some(2);
    let joint = make(&dgx, &options).unwrap();
    round_trip(joint.yaml());
    let template: Vec<v1::ResourceClaimTemplate> = crate::yaml::read("own", joint.yaml()).unwrap();
    let devices = template[0].spec.clone().unwrap().spec.unwrap().devices.unwrap();
    let requests = devices.requests.unwrap();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        let choices = request.first_available.as_ref().unwrap();
        assert_eq!(choices.len(), joint.alternatives().len());
        for (number, choice) in choices.iter().enumerate() {
            let derived = &choice.derived_attributes.as_ref().unwrap()[0];
            assert_eq!(
                (&choice.name, &derived.expression),
                (&format!("p{number}"), &format!("\"p{number}\""))
            );
        }
    }
    assert_eq!(devices.constraints.unwrap()[0].match_attribute.as_deref(), Some("nvtopo.io/set"));
    // A mesh, and an older version.
    let mut mesh = ClaimOptions::gpus(2);
    mesh.derived = true;
    mesh.addresses = addresses();
    assert!(make(&Topology::preset("dgx-1-v100").unwrap(), &mesh).unwrap_err().to_string().contains("mesh"));
    let older = make(
        &dgx,
        &ClaimOptions { derived: true, version: Version::minor(36).unwrap(), ..ClaimOptions::gpus(2) },
    );
    assert!(older.unwrap_err().to_string().contains("1.37"));
}

#[test]
fn unknown_addresses_are_told_with_what_to_add() {
    let error = make(&striped(), &ClaimOptions::gpus(2)).unwrap_err();
    assert!(
        error.message().contains("GPU0, GPU1") && error.advice().unwrap().contains("pci.bus_id"),
        "{error}"
    );
    let few = ClaimOptions { addresses: addresses()[..7].to_vec(), ..ClaimOptions::gpus(2) };
    assert!(
        make(&striped(), &few).unwrap_err().to_string().contains("7 PCI addresses were given for 8 GPUs")
    );
    let mut twice = addresses();
    twice[1] = twice[0];
    assert!(make(&striped(), &ClaimOptions { addresses: twice, ..ClaimOptions::gpus(2) }).is_err());
    let mut wide = addresses();
    wide[1].domain = 0x10000;
    assert!(
        make(&striped(), &ClaimOptions { addresses: wide, ..ClaimOptions::gpus(2) })
            .unwrap_err()
            .to_string()
            .contains("four digits")
    );
}

#[test]
fn nodes_of_a_class_are_compared() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    let nodes = [("a".to_owned(), &dgx), ("b".to_owned(), &dgx)];
    assert!(Claims::of(&nodes, &ClaimOptions::gpus(2)).unwrap().yaml().contains("2 were compared"));
    let own = addresses();
    let other = paired(&[(0, 1), (2, 3), (4, 5), (6, 7)]);
    let striped = striped();
    let machines = |other: &'static str, addresses: Vec<PciAddress>, topology| {
        class::check(&[("a".to_owned(), &striped, own.clone()), (other.to_owned(), topology, addresses)])
    };
    machines("same", own.clone(), &striped).unwrap();
    let error = machines("b", own.clone(), &other).unwrap_err().to_string();
    assert!(
        error.contains("b is of another class")
            && error.contains("0000:01:00.0 and 0000:25:00.0 are NV12 to each other, not SYS"),
        "{error}"
    );
    // The same machine whose GPUs were counted in another order is the same.
    let swapped = paired(&[(0, 3), (1, 2), (4, 5), (6, 7)]);
    let mut addresses = own.clone();
    addresses.swap(0, 1);
    machines("swapped", addresses, &swapped).unwrap();
    let mut moved = own.clone();
    moved[7].bus = 0xe2;
    let error = machines("c", moved, &striped).unwrap_err().to_string();
    assert!(error.contains("it has no GPU at 0000:e1:00.0; it has a GPU at 0000:e2:00.0 as well"), "{error}");
}

#[test]
fn tables_of_allowed_sets_are_kept_to() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    let mut options = ClaimOptions::gpus(4);
    options.allowed = Some(AllowedSets::read("t", "0-7\n4-7\n1-4\n").unwrap());
    let claims = make(&dgx, &options).unwrap();
    let sets: Vec<&[usize]> = claims.alternatives().iter().map(|alternative| &alternative.gpus[..]).collect();
    assert_eq!(sets, [[4, 5, 6, 7], [1, 2, 3, 4]]);
    options.gpus = 3;
    assert!(make(&dgx, &options).is_err());
}

#[test]
fn any_gpus_can_be_the_last_alternative() {
    let mut options = ClaimOptions { addresses: addresses(), any: true, ..ClaimOptions::gpus(2) };
    let text = make(&striped(), &options).unwrap().yaml().to_owned();
    let last = text.split("name: p4").nth(1).unwrap();
    assert!(!last.contains("selectors"), "{text}");
    options.version = Version::minor(32).unwrap();
    assert!(make(&striped(), &options).is_err());
    assert!(
        make(&striped(), &ClaimOptions { addresses: addresses(), ..ClaimOptions::gpus(33) })
            .unwrap_err()
            .to_string()
            .contains("32 devices")
    );
}

/// Slices of NVIDIA's driver, dranet and dra-driver-cpu for a machine, on the node `n1`.
fn slices(topology: &Topology) -> String {
    let slice = |driver: &str, devices: String| {
        format!(
            "---\nkind: ResourceSlice\nmetadata: {{name: {driver}}}\nspec: {{driver: {driver}, nodeName: n1, pool: {{name: n1, generation: 1, \
             resourceSliceCount: 1}}, devices: [{devices}]}}\n"
        )
    };
    let text = |name: &str, value: String| format!("{name}: {{string: '{value}'}}");
    let gpu = |(at, gpu): (usize, &nvtopo::model::Gpu)| {
        let address = text(BUS_ID, gpu.address.unwrap().to_string());
        format!("{{name: gpu-{at}, attributes: {{type: {{string: gpu}}, {address}}}}}")
    };
    let nic = |(at, nic): (usize, &nvtopo::model::Nic)| {
        let address = text("dra.net/pciAddress", nic.address.unwrap().to_string());
        format!("{{name: nic-{at}, attributes: {{dra.net/rdma: {{bool: true}}, {address}}}}}")
    };
    let node = |node: &nvtopo::model::NumaNode| {
        let number = node.os_index;
        format!(
            "{{name: node-{number}, allowMultipleAllocations: true, attributes: {{numaNodeID: {{int: {number}}}}}, capacity: \
             {{dra.cpu/cpu: {{value: '32'}}}}}}"
        )
    };
    let gpus: Vec<String> = topology.gpus().enumerate().map(gpu).collect();
    let nics: Vec<String> = topology.nics().enumerate().map(nic).collect();
    let nodes: Vec<String> = topology.numa_nodes().map(node).collect();
    [("gpu.nvidia.com", gpus), ("dra.net", nics), ("dra.cpu", nodes)]
        .map(|(driver, devices)| slice(driver, devices.join(", ")))
        .concat()
}

#[test]
fn joint_claims_are_given_gpus_nics_and_cpus_that_belong_together() {
    let dgx = Topology::preset("dgx-a100").unwrap();
    let mut options = ClaimOptions::gpus(2);
    (options.derived, options.rdma, options.cpus_per_gpu) = (true, true, Some(16));
    let claims = make(&dgx, &options).unwrap();
    let slices = slices(&dgx);
    let given = |taken: &[&str]| {
        let options = CheckOptions {
            taken: taken.iter().map(|name| (*name).to_owned()).collect(),
            ..CheckOptions::default()
        };
        let checked = check(("claims", claims.yaml()), &[("slices", &slices)], Some(&dgx), &options).unwrap();
        match &checked.claims[0].outcome {
            Outcome::Given(given) => given.clone(),
            other => panic!("{other:?}"),
        }
    };
    for (taken, alternative) in [(&[][..], 0), (&["gpu-1"], 1), (&["gpu-1", "gpu-2"], 2)] {
        let given = given(taken);
        let own = format!("/p{alternative}");
        assert!(given.iter().all(|given| given.request.ends_with(&own)), "{given:?}");
        let gpus: Vec<usize> = given.iter().filter_map(|given| given.gpu).collect();
        assert_eq!(gpus, claims.alternatives()[alternative].gpus);
        assert_eq!(given.len(), 5, "two GPUs, their two NICs, and CPUs of one node: {given:?}");
    }
    // A NIC of the first pair is with another pod: the second pair is given, not the first with the NICs of the second.
    let nic = given(&[])[2].device[2].clone();
    assert!(given(&[&nic]).iter().all(|given| given.request.ends_with("/p1")));
    // The templates of single sets are given as well.
    options.derived = false;
    let single = make(&dgx, &options).unwrap();
    let first = single.yaml().split("---\n").next().unwrap();
    assert!(
        check(("claims", first), &[("slices", &slices)], None, &CheckOptions::default()).unwrap().all_given()
    );
}
