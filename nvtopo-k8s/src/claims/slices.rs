//! The objects of a cluster: devices, classes and claims, read from `ResourceSlice`s and other objects in the shapes of all
//! versions of the API since 1.31.

use crate::quantity::Quantity;
use crate::yaml;
use nvtopo::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most devices that are read.
const MAX_DEVICES_READ: usize = 16_384;

/// An attribute of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Bool(bool),
    Int(i64),
    Text(String),
    Version(String),
    /// A list, its items as texts.
    List(Vec<String>),
}

/// A device of a slice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Device {
    pub(super) driver: String,
    pub(super) pool: String,
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) capacity: BTreeMap<String, Quantity>,
    /// The taints that keep claims away, as `key=value:effect`.
    pub(super) taints: Vec<Taint>,
    /// Several claims can have a part of it.
    pub(super) shared: bool,
    /// It takes a part of counters that it shares with others (partitions of one GPU).
    pub(super) counters: bool,
}

impl Device {
    /// An attribute by its full name.
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        let short = name.split_once('/').filter(|(domain, _)| *domain == self.driver).map(|(_, short)| short);
        self.attributes.get(name).or_else(|| self.attributes.get(short?))
    }

    /// The text of an attribute.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            Attribute::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name for people.
    pub(super) fn title(&self) -> String {
        format!("{}/{}/{}", self.driver, self.pool, self.name)
    }
}

/// A taint of a device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Taint {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
    pub(super) effect: String,
}

/// A toleration of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Toleration {
    key: Option<String>,
    operator: Option<String>,
    value: Option<String>,
    effect: Option<String>,
}

impl Toleration {
    pub(super) fn bears(&self, taint: &Taint) -> bool {
        let key = self.key.as_deref().filter(|key| !key.is_empty()).is_none_or(|key| key == taint.key);
        let effect = self
            .effect
            .as_deref()
            .filter(|effect| !effect.is_empty())
            .is_none_or(|effect| effect == taint.effect);
        let exists = self.operator.as_deref() == Some("Exists");
        key && effect && (exists || self.value.as_deref().unwrap_or_default() == taint.value)
    }
}

/// One request or alternative of a claim.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) device_class_name: String,
    pub(super) count: Option<u64>,
    pub(super) allocation_mode: Option<String>,
    pub(super) admin_access: Option<bool>,
    pub(super) selectors: Vec<SelectorText>,
    pub(super) tolerations: Vec<Toleration>,
    pub(super) capacity: Capacities,
    pub(super) derived_attributes: Vec<Derived>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Capacities {
    pub(super) requests: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Derived {
    pub(super) name: String,
    pub(super) expression: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct SelectorText {
    pub(super) cel: Expression,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Expression {
    pub(super) expression: String,
}

/// A request of a claim.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) name: String,
    #[serde(default)]
    exactly: Option<Wanted>,
    #[serde(default)]
    pub(super) first_available: Vec<Wanted>,
    /// The shape before v1beta2: what is wanted stands in the request itself.
    #[serde(flatten)]
    flat: BTreeMap<String, Value>,
}

impl Request {
    /// Returns the one request, where there are no alternatives.
    pub(super) fn exactly(&self) -> Result<Wanted, String> {
        if let Some(exactly) = &self.exactly {
            return Ok(exactly.clone());
        }
        let map = self.flat.clone().into_iter().collect();
        serde_json::from_value(Value::Object(map)).map_err(|error| format!("request {}: {error}", self.name))
    }
}

/// A constraint: attributes that the devices of some requests have in common, or not.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Constraint {
    pub(super) requests: Vec<String>,
    pub(super) match_attribute: Option<String>,
    pub(super) distinct_attribute: Option<String>,
}

/// A claim.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClaimObject {
    pub(super) name: String,
    pub(super) requests: Vec<Request>,
    pub(super) constraints: Vec<Constraint>,
}

/// The objects that were read of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Objects {
    /// The slices with their name and the node, `None` where they are of all or of some by a selector.
    pub(super) slices: Vec<Slice>,
    /// The selectors of each class.
    pub(super) classes: BTreeMap<String, Vec<String>>,
    pub(super) claims: Vec<ClaimObject>,
    /// The devices that claims have: driver, pool and name.
    pub(super) taken: Vec<[String; 3]>,
    /// The kinds that were passed over.
    pub(super) other: Vec<String>,
}

/// A slice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slice {
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) pool: String,
    pub(super) generation: i64,
    /// The number of slices in the pool.
    pub(super) of: Option<usize>,
    pub(super) node: Option<String>,
    /// It is of nodes that a selector chooses, which is not evaluated here.
    pub(super) by_selector: bool,
    pub(super) devices: Vec<Device>,
}

/// Reads all objects of a text.
pub(super) fn read(name: &str, text: &str) -> Result<Objects> {
    let mut objects = Objects::default();
    let documents: Vec<Value> = yaml::read(name, text)?;
    for document in documents {
        let items = match document.get("items") {
            Some(Value::Array(items)) => items.clone(),
            _ => vec![document],
        };
        for item in items {
            objects.add(&item).map_err(|message| Error::input(message).in_input(name))?;
        }
    }
    Ok(objects)
}

fn text_of(value: &Value, path: &str) -> Option<String> {
    value.pointer(path)?.as_str().map(str::to_owned)
}

impl Objects {
    fn add(&mut self, item: &Value) -> Result<(), String> {
        let kind = text_of(item, "/kind").ok_or("an object has no kind")?;
        let name = text_of(item, "/metadata/name").unwrap_or_default();
        let told = |error: String| format!("{kind} {name}: {error}");
        match kind.as_str() {
            "ResourceSlice" => self.slices.push(slice(item, &name).map_err(told)?),
            "DeviceClass" => {
                let selectors =
                    item.pointer("/spec/selectors").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
                let selectors: Vec<SelectorText> =
                    serde_json::from_value(selectors).map_err(|error| told(error.to_string()))?;
                self.classes
                    .insert(name, selectors.into_iter().map(|selector| selector.cel.expression).collect());
            }
            "ResourceClaim" | "ResourceClaimTemplate" => {
                let spec = if kind == "ResourceClaim" { "/spec/devices" } else { "/spec/spec/devices" };
                let devices = item.pointer(spec).ok_or_else(|| told(format!("it has no {spec}")))?;
                let part = |key: &str| devices.get(key).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
                let requests =
                    serde_json::from_value(part("requests")).map_err(|error| told(error.to_string()))?;
                let constraints =
                    serde_json::from_value(part("constraints")).map_err(|error| told(error.to_string()))?;
                let results = item.pointer("/status/allocation/devices/results").and_then(Value::as_array);
                for result in results.into_iter().flatten() {
                    let part = |key| {
                        text_of(result, key).ok_or_else(|| told(format!("an allocated device has no {key}")))
                    };
                    if result.get("adminAccess") != Some(&Value::Bool(true)) {
                        self.taken.push([part("/driver")?, part("/pool")?, part("/device")?]);
                    }
                }
                if results.is_none() {
                    self.claims.push(ClaimObject { name, requests, constraints });
                }
            }
            _ => self.other.push(kind),
        }
        let devices: usize = self.slices.iter().map(|slice| slice.devices.len()).sum();
        if devices > MAX_DEVICES_READ {
            return Err(format!("there are more than {MAX_DEVICES_READ} devices"));
        }
        Ok(())
    }
}

fn slice(item: &Value, name: &str) -> Result<Slice, String> {
    let driver = text_of(item, "/spec/driver").ok_or("it has no spec.driver")?;
    let pool = text_of(item, "/spec/pool/name").unwrap_or_default();
    let none = Vec::new();
    let devices = item.pointer("/spec/devices").and_then(Value::as_array).unwrap_or(&none);
    let devices =
        devices.iter().map(|device| self::device(device, &driver, &pool)).collect::<Result<_, _>>()?;
    let number = |path: &str| item.pointer(path).and_then(Value::as_i64);
    Ok(Slice {
        name: name.to_owned(),
        generation: number("/spec/pool/generation").unwrap_or_default(),
        of: number("/spec/pool/resourceSliceCount").and_then(|count| usize::try_from(count).ok()),
        node: text_of(item, "/spec/nodeName"),
        by_selector: item.pointer("/spec/nodeSelector").is_some()
            || item.pointer("/spec/perDeviceNodeSelection").is_some(),
        driver,
        pool,
        devices,
    })
}

fn device(item: &Value, driver: &str, pool: &str) -> Result<Device, String> {
    let name = text_of(item, "/name").ok_or("a device has no name")?;
    let facts = item.get("basic").unwrap_or(item);
    let told = |what: &str, key: &str| format!("device {name}: {what} {key} is not understood");
    let none = serde_json::Map::new();
    let map = |key: &str| facts.get(key).and_then(Value::as_object).unwrap_or(&none);
    let mut attributes = BTreeMap::new();
    for (key, value) in map("attributes") {
        attributes.insert(key.clone(), attribute(value).ok_or_else(|| told("attribute", key))?);
    }
    let mut capacity = BTreeMap::new();
    for (key, value) in map("capacity") {
        let amount = amount(value.get("value").unwrap_or(value));
        capacity.insert(key.clone(), amount.ok_or_else(|| told("capacity", key))?);
    }
    let taints = facts.get("taints").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    Ok(Device {
        driver: driver.to_owned(),
        pool: pool.to_owned(),
        attributes,
        capacity,
        taints: serde_json::from_value(taints).map_err(|_| told("taint", "of it"))?,
        shared: facts.get("allowMultipleAllocations") == Some(&Value::Bool(true)),
        counters: facts.get("consumesCounters").is_some(),
        name,
    })
}

/// An amount as text or number.
pub(super) fn amount(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

fn attribute(value: &Value) -> Option<Attribute> {
    let (kind, value) = value.as_object()?.iter().next()?;
    let list = |value: &Value| {
        let item =
            |item: &Value| item.as_str().map_or_else(|| Some(item.to_string()), |text| Some(text.to_owned()));
        value.as_array()?.iter().map(item).collect::<Option<Vec<String>>>()
    };
    Some(match kind.as_str() {
        "bool" => Attribute::Bool(value.as_bool()?),
        "int" => Attribute::Int(value.as_i64()?),
        "string" => Attribute::Text(value.as_str()?.to_owned()),
        "version" => Attribute::Version(value.as_str()?.to_owned()),
        "bools" | "ints" | "strings" | "versions" => Attribute::List(list(value)?),
        _ => return None,
    })
}
