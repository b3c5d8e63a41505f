//! Requests of a claim in the shapes of the API's versions.

use crate::{Version, names, yaml};
use k8s_openapi::api::resource::{v1, v1beta1};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nvtopo::{Error, Result};
use std::collections::BTreeMap;

/// One choice of a request: what it takes, and of which devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Choice {
    /// Its name among the alternatives.
    pub(super) name: String,
    pub(super) class: String,
    pub(super) count: usize,
    /// An expression of which devices; none: of any of the class.
    pub(super) selector: Option<String>,
    /// An amount of a capacity of a device.
    pub(super) capacity: Option<(String, usize)>,
    /// The name of a derived attribute, and its expression.
    pub(super) derived: Option<(String, String)>,
}

/// A request of a claim: its choices, of which the first free one is taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeviceRequest {
    pub(super) name: String,
    pub(super) choices: Vec<Choice>,
}

/// A claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) requests: Vec<DeviceRequest>,
    /// Requests whose devices have one value of an attribute.
    pub(super) same: Vec<(Vec<String>, String)>,
}

/// The version of the API that a version of Kubernetes serves claims by; errors with the reason where there is none.
pub(super) fn api(version: Version) -> Result<&'static str> {
    let minor = |minor| Version::minor(minor).unwrap_or_default();
    let message = match version {
        version if version >= minor(34) => return Ok("resource.k8s.io/v1"),
        version if version >= minor(32) => return Ok("resource.k8s.io/v1beta1"),
        version if version == minor(31) => {
            "Kubernetes 1.31 knows claims by structured parameters as an alpha (v1alpha3), which 1.32 does not read"
        }
        _ => "Kubernetes 1.30 knows claims as an alpha (v1alpha2) whose parameters each driver defines",
    };
    Err(Error::unsatisfiable(message).help("give 1.32 or later"))
}

impl Claim {
    /// As a `ResourceClaimTemplate` for a version of Kubernetes, below a comment.
    pub(super) fn template(&self, version: Version, comment: &[String]) -> Result<String> {
        let name = names::object_name(&self.name)?.to_owned();
        let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
        if api(version)?.ends_with("/v1") {
            let object = v1::ResourceClaimTemplate {
                metadata,
                spec: Some(v1::ResourceClaimTemplateSpec {
                    metadata: None,
                    spec: Some(v1::ResourceClaimSpec { devices: Some(self.v1()) }),
                }),
            };
            return yaml::document(comment, &object);
        }
        let object = v1beta1::ResourceClaimTemplate {
            metadata,
            spec: Some(v1beta1::ResourceClaimTemplateSpec {
                metadata: None,
                spec: Some(v1beta1::ResourceClaimSpec { devices: Some(self.v1beta1()) }),
            }),
        };
        yaml::document(comment, &object)
    }

    fn v1(&self) -> v1::DeviceClaim {
        let request = |own: &DeviceRequest| {
            let (exactly, first_available) = match &own.choices[..] {
                [only] => (Some(only.v1_exact()), None),
                several => (None, Some(several.iter().map(Choice::v1_sub).collect())),
            };
            v1::DeviceRequest { exactly, first_available, name: own.name.clone() }
        };
        let same = |(requests, attribute): &(Vec<String>, String)| v1::DeviceConstraint {
            distinct_attribute: None,
            match_attribute: Some(attribute.clone()),
            requests: Some(requests.clone()),
        };
        v1::DeviceClaim {
            config: None,
            constraints: (!self.same.is_empty()).then(|| self.same.iter().map(same).collect()),
            requests: Some(self.requests.iter().map(request).collect()),
        }
    }

    fn v1beta1(&self) -> v1beta1::DeviceClaim {
        let request = |own: &DeviceRequest| {
            let mut request = v1beta1::DeviceRequest { name: own.name.clone(), ..Default::default() };
            match &own.choices[..] {
                [only] => {
                    request.device_class_name = Some(only.class.clone());
                    request.count = Some(only.number());
                    request.allocation_mode = Some("ExactCount".to_owned());
                    request.selectors = only.selector.as_ref().map(|expression| {
                        let expression = expression.clone();
                        vec![v1beta1::DeviceSelector { cel: Some(v1beta1::CELDeviceSelector { expression }) }]
                    });
                }
                several => request.first_available = Some(several.iter().map(Choice::v1beta1_sub).collect()),
            }
            request
        };
        let same = |(requests, attribute): &(Vec<String>, String)| v1beta1::DeviceConstraint {
            distinct_attribute: None,
            match_attribute: Some(attribute.clone()),
            requests: Some(requests.clone()),
        };
        v1beta1::DeviceClaim {
            config: None,
            constraints: (!self.same.is_empty()).then(|| self.same.iter().map(same).collect()),
            requests: Some(self.requests.iter().map(request).collect()),
        }
    }
}

impl Choice {
    fn number(&self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX)
    }

    fn v1_selectors(&self) -> Option<Vec<v1::DeviceSelector>> {
        let cel = |expression: &String| v1::CELDeviceSelector { expression: expression.clone() };
        self.selector.as_ref().map(|expression| vec![v1::DeviceSelector { cel: Some(cel(expression)) }])
    }

    fn v1_capacity(&self) -> Option<v1::CapacityRequirements> {
        let (key, amount) = self.capacity.as_ref()?;
        let requests = BTreeMap::from([(key.clone(), Quantity(amount.to_string()))]);
        Some(v1::CapacityRequirements { requests: Some(requests) })
    }

    fn v1_derived(&self) -> Option<Vec<v1::DeviceDerivedAttribute>> {
        let (name, expression) = self.derived.clone()?;
        Some(vec![v1::DeviceDerivedAttribute { expression, name }])
    }

    fn v1_exact(&self) -> v1::ExactDeviceRequest {
        v1::ExactDeviceRequest {
            allocation_mode: Some("ExactCount".to_owned()),
            capacity: self.v1_capacity(),
            count: Some(self.number()),
            derived_attributes: self.v1_derived(),
            device_class_name: self.class.clone(),
            selectors: self.v1_selectors(),
            ..Default::default()
        }
    }

    fn v1_sub(&self) -> v1::DeviceSubRequest {
        v1::DeviceSubRequest {
            allocation_mode: Some("ExactCount".to_owned()),
            capacity: self.v1_capacity(),
            count: Some(self.number()),
            derived_attributes: self.v1_derived(),
            device_class_name: self.class.clone(),
            name: self.name.clone(),
            selectors: self.v1_selectors(),
            ..Default::default()
        }
    }

    fn v1beta1_sub(&self) -> v1beta1::DeviceSubRequest {
        let cel = |expression: &String| v1beta1::CELDeviceSelector { expression: expression.clone() };
        let selector = |expression| vec![v1beta1::DeviceSelector { cel: Some(cel(expression)) }];
        v1beta1::DeviceSubRequest {
            allocation_mode: Some("ExactCount".to_owned()),
            count: Some(self.number()),
            device_class_name: self.class.clone(),
            name: self.name.clone(),
            selectors: self.selector.as_ref().map(selector),
            ..Default::default()
        }
    }
}

/// A `DeviceClass` whose devices meet an expression.
pub(super) fn device_class(
    version: Version,
    name: &str,
    expression: &str,
    comment: &[String],
) -> Result<String> {
    let metadata = ObjectMeta { name: Some(names::object_name(name)?.to_owned()), ..ObjectMeta::default() };
    let expression = expression.to_owned();
    if api(version)?.ends_with("/v1") {
        let selectors = vec![v1::DeviceSelector { cel: Some(v1::CELDeviceSelector { expression }) }];
        let spec = v1::DeviceClassSpec { selectors: Some(selectors), ..Default::default() };
        return yaml::document(comment, &v1::DeviceClass { metadata, spec: Some(spec) });
    }
    let selectors = vec![v1beta1::DeviceSelector { cel: Some(v1beta1::CELDeviceSelector { expression }) }];
    let spec = v1beta1::DeviceClassSpec { selectors: Some(selectors), ..Default::default() };
    yaml::document(comment, &v1beta1::DeviceClass { metadata, spec: Some(spec) })
}
