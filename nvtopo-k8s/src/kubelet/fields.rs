//! The fields of `KubeletConfiguration` (`kubelet.config.k8s.io/v1beta1`), with what each holds.
//!
//! Source: `config/v1beta1/types.go` of `k8s.io/kubelet`, v0.30.0 to v0.37.0-beta.0, with which the tests compare all fields and
//! the version that has each first. A field without a version here is known in all.

use crate::Version;

/// The kind of value that a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Int,
    Number,
    Text,
    /// A time such as `10s`.
    Duration,
    /// A time, or a number.
    DurationOrInt,
    /// A text or a number that is a quantity.
    Quantity,
    List(&'static Kind),
    /// Any keys, with values of one kind.
    Map(&'static Kind),
    Object(&'static [Field]),
}

impl Kind {
    /// The expected value, for people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Duration => "a time, such as \"10s\"",
            Self::DurationOrInt => "a time, such as \"10s\", or a number",
            Self::Quantity => "a quantity, such as \"1Gi\"",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Object(_) => "a map",
        }
    }
}

/// A field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The minor version that brought it, where that is one of those known here.
    since: u8,
}

impl Field {
    pub(super) fn find<'a>(fields: &'a [Self], name: &str) -> Option<&'a Self> {
        fields.iter().find(|field| field.name == name)
    }

    /// The version that brought it, where that is newer than this one.
    pub(super) fn comes_in(&self, version: Version) -> Option<Version> {
        Version::minor(self.since).filter(|since| *since > version)
    }
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, since: 0 }
}

const fn since(since: u8, name: &'static str, kind: Kind) -> Field {
    Field { name, kind, since }
}

const TEXTS: Kind = Kind::Map(&Kind::Text);
const TEXT_LIST: Kind = Kind::List(&Kind::Text);

const AUTHENTICATION: &[Field] = &[
    field("x509", Kind::Object(&[field("clientCAFile", Kind::Text)])),
    field("webhook", Kind::Object(&[field("enabled", Kind::Bool), field("cacheTTL", Kind::Duration)])),
    field("anonymous", Kind::Object(&[field("enabled", Kind::Bool)])),
];

const AUTHORIZATION: &[Field] = &[
    field("mode", Kind::Text),
    field(
        "webhook",
        Kind::Object(&[
            field("cacheAuthorizedTTL", Kind::Duration),
            field("cacheUnauthorizedTTL", Kind::Duration),
        ]),
    ),
];

const LOG_OPTIONS: &[Field] = &[field("splitStream", Kind::Bool), field("infoBufferSize", Kind::Quantity)];

const LOGGING: &[Field] = &[
    field("format", Kind::Text),
    field("flushFrequency", Kind::DurationOrInt),
    field("verbosity", Kind::Int),
    field(
        "vmodule",
        Kind::List(&Kind::Object(&[field("filePattern", Kind::Text), field("verbosity", Kind::Int)])),
    ),
    field(
        "options",
        Kind::Object(&[field("text", Kind::Object(LOG_OPTIONS)), field("json", Kind::Object(LOG_OPTIONS))]),
    ),
];

const TAINT: &[Field] = &[
    field("key", Kind::Text),
    field("value", Kind::Text),
    field("effect", Kind::Text),
    field("timeAdded", Kind::Text),
];

/// The fields at the top.
pub(super) const FIELDS: &[Field] = &[
    field("apiVersion", Kind::Text),
    field("kind", Kind::Text),
    field("enableServer", Kind::Bool),
    field("staticPodPath", Kind::Text),
    field("podLogsDir", Kind::Text),
    field("syncFrequency", Kind::Duration),
    field("fileCheckFrequency", Kind::Duration),
    field("httpCheckFrequency", Kind::Duration),
    field("staticPodURL", Kind::Text),
    field("staticPodURLHeader", Kind::Map(&TEXT_LIST)),
    field("address", Kind::Text),
    field("port", Kind::Int),
    field("readOnlyPort", Kind::Int),
    field("tlsCertFile", Kind::Text),
    field("tlsPrivateKeyFile", Kind::Text),
    field("tlsCipherSuites", TEXT_LIST),
    since(36, "tlsCurvePreferences", Kind::List(&Kind::Int)),
    field("tlsMinVersion", Kind::Text),
    field("rotateCertificates", Kind::Bool),
    field("serverTLSBootstrap", Kind::Bool),
    field("authentication", Kind::Object(AUTHENTICATION)),
    field("authorization", Kind::Object(AUTHORIZATION)),
    field("registryPullQPS", Kind::Int),
    field("registryBurst", Kind::Int),
    since(33, "imagePullCredentialsVerificationPolicy", Kind::Text),
    since(33, "preloadedImagesVerificationAllowlist", TEXT_LIST),
    field("eventRecordQPS", Kind::Int),
    field("eventBurst", Kind::Int),
    field("enableDebuggingHandlers", Kind::Bool),
    field("enableContentionProfiling", Kind::Bool),
    field("healthzPort", Kind::Int),
    field("healthzBindAddress", Kind::Text),
    field("oomScoreAdj", Kind::Int),
    field("clusterDomain", Kind::Text),
    field("clusterDNS", TEXT_LIST),
    field("streamingConnectionIdleTimeout", Kind::Duration),
    field("nodeStatusUpdateFrequency", Kind::Duration),
    field("nodeStatusReportFrequency", Kind::Duration),
    field("nodeLeaseDurationSeconds", Kind::Int),
    field("imageMinimumGCAge", Kind::Duration),
    field("imageMaximumGCAge", Kind::Duration),
    field("imageGCHighThresholdPercent", Kind::Int),
    field("imageGCLowThresholdPercent", Kind::Int),
    field("volumeStatsAggPeriod", Kind::Duration),
    field("kubeletCgroups", Kind::Text),
    field("systemCgroups", Kind::Text),
    field("cgroupRoot", Kind::Text),
    field("cgroupsPerQOS", Kind::Bool),
    field("cgroupDriver", Kind::Text),
    field("cpuManagerPolicy", Kind::Text),
    since(32, "singleProcessOOMKill", Kind::Bool),
    field("cpuManagerPolicyOptions", TEXTS),
    field("cpuManagerReconcilePeriod", Kind::Duration),
    field("memoryManagerPolicy", Kind::Text),
    field("topologyManagerPolicy", Kind::Text),
    field("topologyManagerScope", Kind::Text),
    field("topologyManagerPolicyOptions", TEXTS),
    field("qosReserved", TEXTS),
    field("runtimeRequestTimeout", Kind::Duration),
    field("hairpinMode", Kind::Text),
    field("maxPods", Kind::Int),
    field("podCIDR", Kind::Text),
    field("podPidsLimit", Kind::Int),
    field("resolvConf", Kind::Text),
    field("runOnce", Kind::Bool),
    field("cpuCFSQuota", Kind::Bool),
    field("cpuCFSQuotaPeriod", Kind::Duration),
    field("nodeStatusMaxImages", Kind::Int),
    field("maxOpenFiles", Kind::Int),
    field("contentType", Kind::Text),
    field("kubeAPIQPS", Kind::Int),
    field("kubeAPIBurst", Kind::Int),
    field("serializeImagePulls", Kind::Bool),
    field("maxParallelImagePulls", Kind::Int),
    field("evictionHard", TEXTS),
    field("evictionSoft", TEXTS),
    field("evictionSoftGracePeriod", TEXTS),
    field("evictionPressureTransitionPeriod", Kind::Duration),
    field("evictionMaxPodGracePeriod", Kind::Int),
    field("evictionMinimumReclaim", TEXTS),
    since(33, "mergeDefaultEvictionSettings", Kind::Bool),
    field("podsPerCore", Kind::Int),
    field("enableControllerAttachDetach", Kind::Bool),
    field("protectKernelDefaults", Kind::Bool),
    field("makeIPTablesUtilChains", Kind::Bool),
    field("iptablesMasqueradeBit", Kind::Int),
    field("iptablesDropBit", Kind::Int),
    field("featureGates", Kind::Map(&Kind::Bool)),
    field("failSwapOn", Kind::Bool),
    field("memorySwap", Kind::Object(&[field("swapBehavior", Kind::Text)])),
    field("containerLogMaxSize", Kind::Text),
    field("containerLogMaxFiles", Kind::Int),
    field("containerLogMaxWorkers", Kind::Int),
    field("containerLogMonitorInterval", Kind::Duration),
    field("configMapAndSecretChangeDetectionStrategy", Kind::Text),
    field("systemReserved", TEXTS),
    field("kubeReserved", TEXTS),
    field("reservedSystemCPUs", Kind::Text),
    field("showHiddenMetricsForVersion", Kind::Text),
    field("systemReservedCgroup", Kind::Text),
    field("kubeReservedCgroup", Kind::Text),
    field("enforceNodeAllocatable", TEXT_LIST),
    field("allowedUnsafeSysctls", TEXT_LIST),
    field("volumePluginDir", Kind::Text),
    field("providerID", Kind::Text),
    field("kernelMemcgNotification", Kind::Bool),
    field("logging", Kind::Object(LOGGING)),
    field("enableSystemLogHandler", Kind::Bool),
    field("enableSystemLogQuery", Kind::Bool),
    field("shutdownGracePeriod", Kind::Duration),
    field("shutdownGracePeriodCriticalPods", Kind::Duration),
    field(
        "shutdownGracePeriodByPodPriority",
        Kind::List(&Kind::Object(&[
            field("priority", Kind::Int),
            field("shutdownGracePeriodSeconds", Kind::Int),
        ])),
    ),
    since(32, "crashLoopBackOff", Kind::Object(&[field("maxContainerRestartPeriod", Kind::Duration)])),
    field(
        "reservedMemory",
        Kind::List(&Kind::Object(&[
            field("numaNode", Kind::Int),
            field("limits", Kind::Map(&Kind::Quantity)),
        ])),
    ),
    field("enableProfilingHandler", Kind::Bool),
    field("enableDebugFlagsHandler", Kind::Bool),
    field("seccompDefault", Kind::Bool),
    field("memoryThrottlingFactor", Kind::Number),
    since(36, "memoryReservationPolicy", Kind::Text),
    field("registerWithTaints", Kind::List(&Kind::Object(TAINT))),
    field("registerNode", Kind::Bool),
    field(
        "tracing",
        Kind::Object(&[field("endpoint", Kind::Text), field("samplingRatePerMillion", Kind::Int)]),
    ),
    field("localStorageCapacityIsolation", Kind::Bool),
    field("containerRuntimeEndpoint", Kind::Text),
    field("imageServiceEndpoint", Kind::Text),
    since(31, "failCgroupV1", Kind::Bool),
    since(33, "userNamespaces", Kind::Object(&[field("idsPerPod", Kind::Int)])),
];

/// The signals of eviction.
///
/// Source: `pkg/kubelet/eviction/api/types.go`.
pub(super) const SIGNALS: &[&str] = &[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "allocatableMemory.available",
    "pid.available",
];

/// The hard thresholds where the configuration names none; where it names one, the others do not hold.
///
/// Source: `pkg/kubelet/eviction/defaults_linux.go`.
pub(super) const DEFAULT_EVICTION: &[(&str, &str)] = &[
    ("memory.available", "100Mi"),
    ("nodefs.available", "10%"),
    ("nodefs.inodesFree", "5%"),
    ("imagefs.available", "15%"),
    ("imagefs.inodesFree", "5%"),
];

/// The name among those that was meant, if one is near.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(64).collect()
    };
    let given = plain(name);
    let (slips, near) = names
        .map(|name| (strsim::levenshtein(&given, &plain(name)), name))
        .min_by_key(|(slips, _)| *slips)?;
    (!given.is_empty() && slips <= (given.chars().count() / 4).clamp(1, 4)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn fields_are_told_once() {
        let names: BTreeSet<&str> = FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), FIELDS.len());
    }

    /// The published fields of a structure, each with its type and first version.
    fn published(structure: &str) -> BTreeMap<&'static str, (&'static str, u8)> {
        let text = include_str!("../../../tests/data/k8s/kubelet/fields.tsv");
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        let rows = rows.map(|line| <[&str; 4]>::try_from(line.split('\t').collect::<Vec<_>>()).unwrap());
        let own = rows.filter(|[of, ..]| *of == structure);
        own.map(|[_, name, kind, since]| (name, (kind, since.parse().unwrap()))).collect()
    }

    /// Compares fields with those that are published, and the structures within.
    fn compare(fields: &[Field], structure: &str, outer: u8) -> usize {
        let published = published(structure);
        let own: Vec<&Field> =
            fields.iter().filter(|field| !["apiVersion", "kind"].contains(&field.name)).collect();
        let names: BTreeSet<&str> = own.iter().map(|field| field.name).collect();
        assert_eq!(names, published.keys().copied().collect(), "{structure}");
        let mut count = 0;
        for field in own {
            let (kind, since) = published[field.name];
            assert_eq!(field.since.max(30).max(outer), since, "{structure}.{}", field.name);
            count += 1 + of_type(field.kind, kind, since);
        }
        count
    }

    /// Compares a kind with a type of Go; returns the number of fields within.
    fn of_type(kind: Kind, name: &str, since: u8) -> usize {
        match (kind, name) {
            (Kind::Bool, "bool")
            | (Kind::Int, "int32" | "int64")
            | (Kind::Number, "float64")
            | (Kind::Duration, "metav1.Duration")
            | (Kind::Map(Kind::Quantity), "v1.ResourceList")
            // Structures of other packages.
            | (Kind::List(Kind::Object(_)), "[]v1.Taint")
            | (Kind::Object(_), "logsapi.LoggingConfiguration" | "tracingapi.TracingConfiguration") => 0,
            // Names of policies and the like are texts.
            (Kind::Text, name) => {
                assert!(name == "string" || ["Mode", "Policy", "Strategy"].iter().any(|end| name.ends_with(end)));
                0
            }
            (Kind::List(inner), name) => of_type(*inner, name.strip_prefix("[]").unwrap(), since),
            (Kind::Map(inner), name) => of_type(*inner, name.strip_prefix("map[string]").unwrap(), since),
            (Kind::Object(fields), name) => compare(fields, name, since),
            (kind, name) => panic!("{name} is not {}", kind.words()),
        }
    }

    #[test]
    fn fields_are_those_that_are_published() {
        assert_eq!(compare(FIELDS, "KubeletConfiguration", 30), 125 + 18);
    }

    #[test]
    fn slips_find_the_field() {
        let find = |name| nearest(name, FIELDS.iter().map(|field| field.name));
        for (slip, meant) in [
            ("cpuManagerPolcy", Some("cpuManagerPolicy")),
            ("CPUManagerPolicy", Some("cpuManagerPolicy")),
            ("reservedSystemCpus", Some("reservedSystemCPUs")),
            ("reservedCPUs", None),
            ("topology-manager-policy", Some("topologyManagerPolicy")),
            ("", None),
            ("zzz", None),
        ] {
            assert_eq!(find(slip), meant, "{slip}");
        }
    }
}
