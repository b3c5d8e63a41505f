//! A fleet as a `CycloneDX` 1.6 bill of materials: a device for each node, in it its GPUs and NICs with their firmware, its
//! driver, its kernel and its BIOS.

use super::{Fleet, FleetDevice, FleetNode};
use crate::reading::growth::written;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

impl Fleet {
    /// Returns the inventory as a `CycloneDX` 1.6 document in JSON: `device` for nodes, GPUs and NICs, `firmware`,
    /// `device-driver`, and `operating-system` for the kernel.
    pub fn to_cyclonedx(&self) -> String {
        let components: Vec<Value> =
            self.nodes().iter().enumerate().map(|(number, own)| node(number, own)).collect();
        let tool = json!({ "type": "application", "name": "nvtopo", "version": env!("CARGO_PKG_VERSION") });
        let mut metadata = json!({ "tools": { "components": [tool] } });
        if let Some(time) = self.now.and_then(written) {
            metadata["timestamp"] = time.into();
        }
        let document = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": serial_number(&components),
            "version": 1,
            "metadata": metadata,
            "components": components,
        });
        format!("{document:#}\n")
    }
}

/// Returns the number of a document by what it holds: the UUID of version 8 that its hash makes.
fn serial_number(components: &[Value]) -> String {
    let hash = Sha256::digest(Value::from(components).to_string().as_bytes());
    let digits = hash.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let part = |from: usize, to: usize| &digits[from..to];
    let (begin, end) = (format!("{}-{}", part(0, 8), part(8, 12)), part(20, 32));
    // The digits of version and variant stand for themselves.
    format!("urn:uuid:{begin}-8{}-8{}-{end}", part(13, 16), part(17, 20))
}

fn node(number: usize, node: &FleetNode) -> Value {
    // References are unique in a document; names of files need not be.
    let reference = |part: &str| format!("node-{number}/{part}");
    let mut parts = Vec::new();
    let software = [
        ("device-driver", "NVIDIA driver", "driver"),
        ("operating-system", "Linux", "kernel"),
        ("firmware", "BIOS", "bios"),
    ];
    for (kind, name, field) in software {
        if let Some(version) = node.field(field) {
            parts
                .push(json!({ "type": kind, "bom-ref": reference(field), "name": name, "version": version }));
        }
    }
    for (index, own) in node.devices.iter().enumerate() {
        parts.push(device(&reference(&format!("device-{index}")), own));
    }
    let properties: Vec<Value> = ["product", "structure", "inventory", "cuda", "kubelet"]
        .into_iter()
        .filter_map(|field| Some(property(field, node.field(field)?)))
        .collect();
    json!({
        "type": "device", "bom-ref": format!("node-{number}"), "name": node.name, "description": &*node.board,
        "components": parts, "properties": properties,
    })
}

fn device(reference: &str, device: &FleetDevice) -> Value {
    let mut properties = vec![property("name", &device.name)];
    properties.extend(device.uuid.as_deref().map(|uuid| property("uuid", uuid)));
    properties.extend(device.serial.as_deref().map(|serial| property("serial", serial)));
    let name = device.model.as_deref().unwrap_or(&device.name);
    let mut component =
        json!({ "type": "device", "bom-ref": reference, "name": name, "properties": properties });
    if let Some(firmware) = &device.firmware {
        component["components"] = json!([{
            "type": "firmware", "bom-ref": format!("{reference}/firmware"), "name": format!("firmware of {name}"),
            "version": &**firmware,
        }]);
    }
    component
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": format!("nvtopo:{name}"), "value": value })
}
