//! The choice of devices, as the scheduler makes it: the first that fit, in the order of the slices, tried in all ways.
//!
//! Source: `k8s.io/dynamic-resource-allocation/structured`.

use super::MAX_DEVICES;
use super::cel::{self, Selector};
use super::slices::{Attribute, ClaimObject, Constraint, Device, Objects, Taint, Wanted, amount};
use crate::quantity::Quantity;
use std::collections::{BTreeMap, BTreeSet};

/// The most work of one search: devices tried, each as often as constraints have values to compare it with.
const MAX_STEPS: usize = 1_000_000;

/// The greatest count of a request: more than there are devices, and so few that sums of counts never overflow.
const MAX_COUNT: usize = 1 << 30;

/// A chosen device: its place among the devices, and the request that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) device: usize,
    pub(super) request: String,
}

/// Why nothing was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The scheduler stops, on all nodes.
    Broken(String),
    /// Unknown here, whatever the scheduler does: the claim uses what is not followed, or the search takes too long.
    Unknown(String),
    /// There are no such devices.
    None(Vec<String>),
}

/// One way to satisfy a request.
struct Way {
    /// The name of the request, and with the alternative's behind a slash.
    name: String,
    parent: String,
    count: usize,
    /// All that match are wanted.
    all: bool,
    admin: bool,
    wanted: Wanted,
    /// The devices that its selectors and taints leave.
    fits: Vec<usize>,
    /// The value of each derived attribute by device.
    derived: BTreeMap<String, BTreeMap<usize, Attribute>>,
}

struct Search<'a> {
    devices: &'a [Device],
    requests: Vec<Vec<Way>>,
    constraints: Vec<State<'a>>,
    taken: BTreeSet<usize>,
    used: BTreeMap<(usize, String), Quantity>,
    chosen: Vec<Chosen>,
    steps: usize,
    lists: bool,
}

/// A constraint, and what the devices so far have.
struct State<'a> {
    rule: &'a Constraint,
    values: Vec<Attribute>,
    /// The values that all lists so far share. Each device narrows them, and they stay so when one is given back: as in the
    /// scheduler.
    shared: Option<BTreeSet<String>>,
}

/// Chooses devices for a claim. `devices`: those of the node, in the order in which they are tried; `taken`: places of those that
/// others have; `lists`: lists of attributes count (a gate).
pub(super) fn allocate(
    claim: &ClaimObject,
    objects: &Objects,
    devices: &[Device],
    taken: &BTreeSet<usize>,
    lists: bool,
) -> Result<Vec<Chosen>, Refused> {
    let mut requests = Vec::new();
    for request in &claim.requests {
        let ways = if request.first_available.is_empty() {
            let wanted = request.exactly().map_err(Refused::Broken)?;
            vec![way(request.name.clone(), request.name.clone(), wanted, objects, devices)?]
        } else {
            let name = |sub: &Wanted| format!("{}/{}", request.name, sub.name);
            let subs = request.first_available.iter();
            subs.map(|sub| way(name(sub), request.name.clone(), sub.clone(), objects, devices))
                .collect::<Result<_, _>>()?
        };
        requests.push(ways);
    }
    let mut constraints = Vec::new();
    for rule in &claim.constraints {
        if rule.match_attribute.is_none() && rule.distinct_attribute.is_none() {
            return Err(Refused::Broken("a constraint names no attribute".to_owned()));
        }
        constraints.push(State { rule, values: Vec::new(), shared: None });
    }
    let least: usize = requests.iter().map(|ways| ways.iter().map(|way| way.count).min().unwrap_or(0)).sum();
    if least > MAX_DEVICES {
        return Err(Refused::Broken(format!("it asks for {least} devices; {MAX_DEVICES} are the most")));
    }
    let mut search = Search {
        devices,
        requests,
        constraints,
        taken: taken.clone(),
        used: BTreeMap::new(),
        chosen: Vec::new(),
        steps: 0,
        lists,
    };
    if let Some(reason) = search.too_few_values() {
        return Err(Refused::None(vec![reason]));
    }
    match search.request(0) {
        Ok(true) => Ok(search.chosen),
        Ok(false) => Err(Refused::None(search.why(taken))),
        Err(message) => Err(Refused::Unknown(message)),
    }
}

fn way(
    name: String,
    parent: String,
    wanted: Wanted,
    objects: &Objects,
    devices: &[Device],
) -> Result<Way, Refused> {
    let broken = |message: String| Refused::Broken(format!("request {name}: {message}"));
    // What this crate's reader lacks says nothing of the scheduler's.
    let judged = |subject: &str, error: cel::Error| match error {
        cel::Error::Limit(why) => Refused::Unknown(format!("request {name}: {subject}: {why}")),
        cel::Error::Wrong(why) => broken(format!("{subject}: {why}")),
    };
    let class = objects.classes.get(&wanted.device_class_name);
    let class = class.ok_or_else(|| {
        broken(format!("the device class '{}' is not among the objects", wanted.device_class_name))
    })?;
    let own = wanted.selectors.iter().map(|selector| &selector.cel.expression);
    let read =
        |text: &String| Selector::parse(text).map_err(|error| judged(&format!("the selector {text}"), error));
    let selectors: Vec<Selector> = class.iter().chain(own).map(read).collect::<Result<_, _>>()?;
    let mut fits = Vec::new();
    for (at, device) in devices.iter().enumerate() {
        let mut matches = true;
        for selector in &selectors {
            let meets = selector.matches(device);
            matches = meets.map_err(|error| {
                let error = match error {
                    cel::Error::Wrong(why) => (why + "; the scheduler stops here, for all nodes").into(),
                    limit @ cel::Error::Limit(_) => limit,
                };
                judged(&format!("a selector on {}", device.title()), error)
            })?;
            if !matches {
                break;
            }
        }
        if matches {
            fits.push(at);
        }
    }
    let all = match wanted.allocation_mode.as_deref() {
        None | Some("ExactCount" | "") => false,
        Some("All") => true,
        Some(other) => return Err(broken(format!("the allocation mode {other} is unknown"))),
    };
    if let (Some(0), false) = (wanted.count, all) {
        return Err(broken("a count is 0".to_owned()));
    }
    let mut derived = BTreeMap::new();
    for attribute in &wanted.derived_attributes {
        let expression =
            Selector::parse(&attribute.expression).map_err(|error| judged(&attribute.name, error))?;
        let mut values = BTreeMap::new();
        for at in &fits {
            let value = expression.attribute(&devices[*at]);
            values.insert(
                *at,
                value.map_err(|error| {
                    judged(&format!("{} of {}", attribute.name, devices[*at].title()), error)
                })?,
            );
        }
        derived.insert(attribute.name.clone(), values);
    }
    let count = if all {
        fits.len()
    } else {
        usize::try_from(wanted.count.unwrap_or(1)).unwrap_or(MAX_COUNT).min(MAX_COUNT)
    };
    let admin = wanted.admin_access == Some(true);
    Ok(Way { name, parent, count, all, admin, wanted, fits, derived })
}

impl Search<'_> {
    fn request(&mut self, request: usize) -> Result<bool, String> {
        if request == self.requests.len() {
            return Ok(true);
        }
        for way in 0..self.requests[request].len() {
            if self.device((request, way), 0, 0)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says so where more devices are to differ in an attribute than it has values: no search would find them.
    fn too_few_values(&self) -> Option<String> {
        self.constraints.iter().find_map(|state| {
            let attribute = state.rule.distinct_attribute.as_ref()?;
            let concerned = |way: &Way| {
                concerns(state.rule, &way.parent, &way.name) && !way.derived.contains_key(attribute)
            };
            let requests: Vec<&Vec<Way>> =
                self.requests.iter().filter(|ways| ways.iter().all(concerned)).collect();
            let count: usize =
                requests.iter().filter_map(|ways| ways.iter().map(|way| way.count).min()).sum();
            let fits: BTreeSet<usize> =
                requests.iter().copied().flatten().flat_map(|way| way.fits.iter().copied()).collect();
            let values = fits.iter().filter_map(|device| self.devices[*device].attribute(attribute));
            let values: BTreeSet<String> = values.map(|value| format!("{value:?}")).collect();
            (count > values.len()).then(|| {
                format!(
                    "{count} devices are to differ in {attribute}, of which there are {} values",
                    values.len()
                )
            })
        })
    }

    /// Counts work; the error says that it is too much.
    fn works(&mut self, steps: usize) -> Result<(), String> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            return Err(format!("the search takes more than {MAX_STEPS} steps"));
        }
        Ok(())
    }

    /// Chooses the devices of a way from the `number`th on, each behind the last: another order of the same devices changes
    /// nothing but what lists have in common on the way, where recorded refusals agree with this.
    fn device(&mut self, (request, way): (usize, usize), number: usize, from: usize) -> Result<bool, String> {
        self.works(1)?;
        let own = &self.requests[request][way];
        let (count, all, is_empty) = (own.count, own.all, own.fits.is_empty());
        if number >= count && !(all && is_empty) {
            return self.request(request + 1);
        }
        if is_empty || self.chosen.len() + count - number > MAX_DEVICES {
            return Ok(false);
        }
        let later = own.fits.iter().copied().filter(|device| *device >= from);
        let candidates: Vec<usize> = if all { vec![own.fits[number]] } else { later.collect() };
        for device in candidates {
            let compared: usize = self.constraints.iter().map(|state| 1 + state.values.len()).sum();
            self.works(1 + self.chosen.len() + compared)?;
            if self.take(request, way, device) {
                let next = if self.devices[device].shared { device } else { device + 1 };
                if self.device((request, way), number + 1, next)? {
                    return Ok(true);
                }
                self.give_back(request, way, device);
            }
        }
        Ok(false)
    }

    /// Returns the amounts that a way takes of a device's capacities; `None`: there is not so much left.
    fn parts(&self, way: &Way, device: usize) -> Option<Vec<(String, Quantity)>> {
        let facts = &self.devices[device];
        let mut parts = Vec::new();
        for (key, has) in &facts.capacity {
            let short =
                key.split_once('/').filter(|(domain, _)| *domain == facts.driver).map(|(_, short)| short);
            let full = format!("{}/{key}", facts.driver);
            let asked = [Some(key.as_str()), short, Some(&full)]
                .into_iter()
                .flatten()
                .find_map(|key| way.wanted.capacity.requests.get(key));
            let asked = match asked {
                Some(asked) => amount(asked)?,
                None if facts.shared => *has,
                None => continue,
            };
            let left = self.used.get(&(device, key.clone())).map_or(*has, |used| has.minus(*used));
            if left < asked {
                return None;
            }
            parts.push((key.clone(), asked));
        }
        Some(parts)
    }

    fn take(&mut self, request: usize, way: usize, device: usize) -> bool {
        let own = &self.requests[request][way];
        let facts = &self.devices[device];
        let in_claim = self.chosen.iter().any(|chosen| chosen.device == device);
        let in_use =
            if own.admin { in_claim } else { self.taken.contains(&device) || in_claim && !facts.shared };
        let borne = |taint: &Taint| own.wanted.tolerations.iter().any(|toleration| toleration.bears(taint));
        let kept_off = facts
            .taints
            .iter()
            .any(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !borne(taint));
        if in_use || kept_off {
            return false;
        }
        let Some(parts) = self.parts(own, device) else { return false };
        let (name, parent) = (own.name.clone(), own.parent.clone());
        for at in 0..self.constraints.len() {
            let rule = self.constraints[at].rule;
            if !concerns(rule, &parent, &name) {
                continue;
            }
            let attribute = rule.match_attribute.as_ref().or(rule.distinct_attribute.as_ref());
            let attribute = attribute.and_then(|attribute| {
                let derived =
                    self.requests[request][way].derived.get(attribute).and_then(|values| values.get(&device));
                derived.or_else(|| facts.attribute(attribute)).cloned()
            });
            if !self.constraints[at].add(attribute, self.lists) {
                for before in &mut self.constraints[..at] {
                    if concerns(before.rule, &parent, &name) {
                        before.values.pop();
                    }
                }
                return false;
            }
        }
        if facts.shared {
            for (key, part) in parts {
                let used = self.used.entry((device, key)).or_default();
                *used = used.plus(part);
            }
        }
        self.chosen.push(Chosen { device, request: name });
        true
    }

    fn give_back(&mut self, request: usize, way: usize, device: usize) {
        let own = &self.requests[request][way];
        let (name, parent) = (own.name.clone(), own.parent.clone());
        for state in &mut self.constraints {
            if concerns(state.rule, &parent, &name) {
                state.values.pop();
            }
        }
        if self.devices[device].shared {
            // Amounts are counted anew from those that are still chosen.
            self.chosen.pop();
            let chosen = std::mem::take(&mut self.chosen);
            self.used.clear();
            for chosen in &chosen {
                let way = self.requests.iter().flatten().find(|way| way.name == chosen.request);
                let parts = way
                    .and_then(|way| self.parts(way, chosen.device))
                    .filter(|_| self.devices[chosen.device].shared);
                for (key, part) in parts.into_iter().flatten() {
                    let used = self.used.entry((chosen.device, key)).or_default();
                    *used = used.plus(part);
                }
            }
            self.chosen = chosen;
        } else {
            self.chosen.pop();
        }
    }

    /// Why there is nothing, for each request.
    fn why(&self, taken: &BTreeSet<usize>) -> Vec<String> {
        let mut reasons = Vec::new();
        for way in self.requests.iter().flatten() {
            let free = way.fits.iter().filter(|device| !taken.contains(device)).count();
            let tainted = way.fits.iter().filter(|device| !self.devices[**device].taints.is_empty()).count();
            let mut text = format!(
                "{} asks for {}: {} devices match, {free} of them free",
                way.name,
                way.count,
                way.fits.len()
            );
            if tainted > 0 {
                text = format!("{text}, {tainted} tainted");
            }
            reasons.push(text);
        }
        for state in &self.constraints {
            let Some(attribute) =
                state.rule.match_attribute.as_ref().or(state.rule.distinct_attribute.as_ref())
            else {
                continue;
            };
            let ways =
                self.requests.iter().flatten().filter(|way| concerns(state.rule, &way.parent, &way.name));
            let ways: Vec<&Way> = ways.filter(|way| !way.derived.contains_key(attribute)).collect();
            let devices: Vec<&Device> =
                ways.iter().flat_map(|way| &way.fits).map(|device| &self.devices[*device]).collect();
            let without = devices.iter().filter(|device| device.attribute(attribute).is_none()).count();
            let lists = devices
                .iter()
                .filter(|device| matches!(device.attribute(attribute), Some(Attribute::List(_))))
                .count();
            if without > 0 {
                reasons.push(format!("{without} of these devices have no attribute {attribute}"));
            }
            if lists > 0 && !self.lists {
                reasons.push(format!(
                    "{attribute} is a list: Kubernetes does not compare lists unless the gate DRAListTypeAttributes is on, and before \
                     1.37 not even then"
                ));
            } else if lists > 0 {
                reasons.push(format!(
                    "{attribute} is a list: on its way back the search forgets what lists had in common, so that a set that there is may \
                     not be found"
                ));
            }
        }
        reasons
    }
}

/// Returns true for a constraint that names the request or its alternative.
fn concerns(rule: &Constraint, parent: &str, name: &str) -> bool {
    rule.requests.is_empty() || rule.requests.iter().any(|own| own == parent || own == name)
}

impl State<'_> {
    fn add(&mut self, attribute: Option<Attribute>, lists: bool) -> bool {
        let Some(attribute) = attribute else { return false };
        let set = |attribute: &Attribute| -> BTreeSet<String> {
            match attribute {
                Attribute::List(items) => items.iter().cloned().collect(),
                other => BTreeSet::from([format!("{other:?}")]),
            }
        };
        let is_list = matches!(attribute, Attribute::List(_));
        if is_list && !lists {
            // The first device is taken as it is, and no other matches.
            if !self.values.is_empty() || self.rule.match_attribute.is_none() {
                return false;
            }
            self.values.push(attribute);
            return true;
        }
        let good = if self.rule.match_attribute.is_some() {
            if lists {
                let own = match &attribute {
                    Attribute::List(items) => items.iter().cloned().collect(),
                    Attribute::Text(text) => BTreeSet::from([text.clone()]),
                    other => set(other),
                };
                let shared = match (&self.shared, self.values.is_empty()) {
                    (Some(shared), false) => shared.intersection(&own).cloned().collect(),
                    _ => own,
                };
                let good = !shared.is_empty();
                if good {
                    self.shared = Some(shared);
                }
                good
            } else {
                self.values.first().is_none_or(|first| *first == attribute)
            }
        } else {
            let own = set(&attribute);
            self.values.iter().all(|value| set(value).is_disjoint(&own))
        };
        if good {
            self.values.push(attribute);
        }
        good
    }
}
