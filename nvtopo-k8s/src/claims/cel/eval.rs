//! Expressions, evaluated for a device.

use super::Error;
use super::parse::Expr;
use crate::claims::slices::{Attribute, Device};
use crate::quantity::Quantity;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The most steps of one evaluation.
const MAX_STEPS: usize = 20_000;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Version(Version),
    Amount(Quantity),
    List(Vec<Value>),
    /// A map, and whether a missing key gives an empty map.
    Map(BTreeMap<String, Value>, bool),
}

/// A semantic version.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) text: String,
    parts: [u64; 3],
    pre: Vec<Result<u64, String>>,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (front, _) = text.split_once('+').unwrap_or((text, ""));
        let (core, pre) = front.split_once('-').map_or((front, None), |(core, pre)| (core, Some(pre)));
        let number = |part: &str| {
            let plain =
                part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse().ok()).flatten()
        };
        let parts: Vec<u64> = core.split('.').map(number).collect::<Option<_>>()?;
        let parts = parts.try_into().ok()?;
        let pre = pre.map_or(Some(Vec::new()), |pre| {
            let word = |part: &str| {
                let good =
                    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                good.then(|| number(part).ok_or_else(|| part.to_owned()))
            };
            pre.split('.').map(word).collect::<Option<Vec<_>>>()
        })?;
        Some(Self { text: text.to_owned(), parts, pre })
    }

    fn compare(&self, other: &Self) -> Ordering {
        // A version without a word behind it is later; numbers are before words.
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.pre.cmp(&other.pre),
        };
        self.parts.cmp(&other.parts).then(pre)
    }
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth",
            Self::Int(_) => "a whole number",
            Self::Double(_) => "a number",
            Self::Text(_) => "a text",
            Self::Version(_) => "a version",
            Self::Amount(_) => "an amount",
            Self::List(_) => "a list",
            Self::Map(..) => "a map",
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(_) | Self::Double(_), Self::Int(_) | Self::Double(_)) => {
                order(self, other).is_some_and(Ordering::is_eq)
            }
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Self::Version(a), Self::Version(b)) => a.compare(b).is_eq(),
            (a, b) => a == b,
        }
    }
}

/// The value of an expression for a device; the error says why there is none.
pub(super) fn evaluate(expr: &Expr, device: &Device) -> Result<Value, Error> {
    let names = vec![("device".to_owned(), device_value(device)?)];
    Evaluation { names, steps: 0 }.value(expr)
}

fn device_value(device: &Device) -> Result<Value, Error> {
    let mut attributes: BTreeMap<String, Value> = BTreeMap::new();
    let put = |maps: &mut BTreeMap<String, Value>, name: &str, value: Value| {
        let (domain, id) = name.split_once('/').unwrap_or((&device.driver, name));
        let inner = maps.entry(domain.to_owned()).or_insert_with(|| Value::Map(BTreeMap::new(), false));
        if let Value::Map(inner, _) = inner {
            inner.insert(id.to_owned(), value);
        }
    };
    for (name, attribute) in &device.attributes {
        let value = match attribute {
            Attribute::Bool(value) => Value::Bool(*value),
            Attribute::Int(value) => Value::Int(*value),
            Attribute::Text(value) => Value::Text(value.clone()),
            Attribute::Version(text) => {
                let version = Version::parse(text);
                Value::Version(
                    version.ok_or_else(|| format!("attribute {name}: '{text}' is no semantic version"))?,
                )
            }
            Attribute::List(values) => Value::List(values.iter().cloned().map(Value::Text).collect()),
        };
        put(&mut attributes, name, value);
    }
    let mut capacity: BTreeMap<String, Value> = BTreeMap::new();
    for (name, amount) in &device.capacity {
        put(&mut capacity, name, Value::Amount(*amount));
    }
    let fields = [
        ("driver", Value::Text(device.driver.clone())),
        ("attributes", Value::Map(attributes, true)),
        ("capacity", Value::Map(capacity, true)),
        ("allowMultipleAllocations", Value::Bool(device.shared)),
    ];
    Ok(Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), false))
}

struct Evaluation {
    names: Vec<(String, Value)>,
    steps: usize,
}

impl Evaluation {
    fn value(&mut self, expr: &Expr) -> Result<Value, Error> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Error::Limit(format!(
                "it takes more than {MAX_STEPS} steps, and what it gives is not known here"
            )));
        }
        Ok(match expr {
            Expr::Null => Value::Null,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Int(value) => Value::Int(*value),
            Expr::Double(value) => Value::Double(*value),
            Expr::Text(value) => Value::Text(value.clone()),
            Expr::Name(name) => {
                let found = self.names.iter().rev().find(|(own, _)| own == name);
                found
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| format!("the name '{name}' is unknown"))?
            }
            Expr::List(items) => {
                Value::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Expr::Field(of, name) => {
                let of = self.value(of)?;
                field(of, name)?
            }
            Expr::Index(of, index) => {
                let (of, index) = (self.value(of)?, self.value(index)?);
                match (of, index) {
                    (map @ Value::Map(..), Value::Text(name)) => field(map, &name)?,
                    (Value::List(items), Value::Int(at)) => {
                        let item = usize::try_from(at).ok().and_then(|at| items.get(at).cloned());
                        item.ok_or_else(|| format!("the list has no item {at}"))?
                    }
                    (of, index) => {
                        return Err(Error::Wrong(format!(
                            "{} has no index that is {}",
                            of.kind(),
                            index.kind()
                        )));
                    }
                }
            }
            Expr::Unary(sign, inner) => match (*sign, self.value(inner)?) {
                ("!", Value::Bool(value)) => Value::Bool(!value),
                ("-", Value::Int(value)) => {
                    Value::Int(value.checked_neg().ok_or_else(|| "a number is too large".to_owned())?)
                }
                ("-", Value::Double(value)) => Value::Double(-value),
                (sign, other) => {
                    return Err(Error::Wrong(format!("'{sign}' does not go with {}", other.kind())));
                }
            },
            Expr::Binary(sign @ ("&&" | "||"), a, b) => self.logic(*sign == "||", a, b)?,
            Expr::Binary(sign, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                binary(sign, &a, &b)?
            }
            Expr::Choose(parts) => match self.value(&parts[0])? {
                Value::Bool(true) => self.value(&parts[1])?,
                Value::Bool(false) => self.value(&parts[2])?,
                other => return Err(Error::Wrong(format!("{} is before '?'", other.kind()))),
            },
            Expr::Call(of, name, arguments) => self.call(of.as_deref(), name, arguments)?,
        })
    }

    /// `&&` and `||`: an error of one side counts only where the other side does not decide.
    fn logic(&mut self, decides: bool, a: &Expr, b: &Expr) -> Result<Value, Error> {
        let side = |value: Result<Value, Error>| match value {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(other) => Err(Error::Wrong(format!("{} is no truth", other.kind()))),
            Err(error) => Err(error),
        };
        let left = side(self.value(a));
        if left == Ok(decides) {
            return Ok(Value::Bool(decides));
        }
        let right = side(self.value(b));
        if right == Ok(decides) {
            return Ok(Value::Bool(decides));
        }
        left?;
        right.map(Value::Bool)
    }

    fn call(&mut self, of: Option<&Expr>, name: &str, arguments: &[Expr]) -> Result<Value, Error> {
        match (of, name, arguments) {
            (None, "has", [Expr::Field(of, field)]) => {
                return match self.value(of)? {
                    Value::Map(map, _) => Ok(Value::Bool(map.contains_key(field))),
                    other => Err(Error::Wrong(format!("{} has no fields", other.kind()))),
                };
            }
            (Some(Expr::Name(own)), "bind", [Expr::Name(bound), value, body]) if own == "cel" => {
                let value = self.value(value)?;
                return self.with(bound, value, body);
            }
            (Some(of), "all" | "exists" | "exists_one", [Expr::Name(item), body]) => {
                return self.each(of, name, item, body);
            }
            _ => {}
        }
        let of = of.map(|of| self.value(of)).transpose()?;
        let arguments: Vec<Value> =
            arguments.iter().map(|argument| self.value(argument)).collect::<Result<_, _>>()?;
        function(of.as_ref(), name, &arguments)
    }

    fn with(&mut self, name: &str, value: Value, body: &Expr) -> Result<Value, Error> {
        self.names.push((name.to_owned(), value));
        let result = self.value(body);
        self.names.pop();
        result
    }

    fn each(&mut self, of: &Expr, name: &str, item: &str, body: &Expr) -> Result<Value, Error> {
        let items = match self.value(of)? {
            Value::List(items) => items,
            Value::Map(map, _) => map.into_keys().map(Value::Text).collect(),
            other => return Err(Error::Wrong(format!("{} has no items", other.kind()))),
        };
        let (mut met, mut failed) = (0, None);
        let all = items.len();
        for value in items {
            match self.with(item, value, body) {
                Ok(Value::Bool(true)) => met += 1,
                Ok(Value::Bool(false)) if name == "all" => return Ok(Value::Bool(false)),
                Ok(Value::Bool(false)) => {}
                Ok(other) => failed = Some(Error::Wrong(format!("{} is no truth", other.kind()))),
                Err(error) => failed = Some(error),
            }
        }
        match (name, failed) {
            ("exists", _) if met > 0 => Ok(Value::Bool(true)),
            (_, Some(error)) => Err(error),
            ("all", None) => Ok(Value::Bool(met == all)),
            ("exists", None) => Ok(Value::Bool(false)),
            _ => Ok(Value::Bool(met == 1)),
        }
    }
}

fn field(of: Value, name: &str) -> Result<Value, Error> {
    match of {
        Value::Map(mut map, defaults) => match map.remove(name) {
            Some(value) => Ok(value),
            None if defaults => Ok(Value::Map(BTreeMap::new(), false)),
            None => Err(Error::Wrong(format!("no such key: {name}"))),
        },
        other => Err(Error::Wrong(format!("{} has no field '{name}'", other.kind()))),
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    #[allow(clippy::cast_precision_loss, reason = "as the language compares")]
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn binary(sign: &str, a: &Value, b: &Value) -> Result<Value, Error> {
    let wrong = || format!("'{sign}' does not go with {} and {}", a.kind(), b.kind());
    let number = |number: Option<i64>| {
        number.map(Value::Int).ok_or_else(|| "a number is too large, or divided by 0".to_owned())
    };
    Ok(match (sign, a, b) {
        ("==", ..) => Value::Bool(a.same(b)),
        ("!=", ..) => Value::Bool(!a.same(b)),
        ("in", item, Value::List(items)) => Value::Bool(items.iter().any(|own| own.same(item))),
        ("in", Value::Text(key), Value::Map(map, _)) => Value::Bool(map.contains_key(key)),
        ("<", ..) => Value::Bool(order(a, b).ok_or_else(wrong)?.is_lt()),
        ("<=", ..) => Value::Bool(order(a, b).ok_or_else(wrong)?.is_le()),
        (">", ..) => Value::Bool(order(a, b).ok_or_else(wrong)?.is_gt()),
        (">=", ..) => Value::Bool(order(a, b).ok_or_else(wrong)?.is_ge()),
        ("+", Value::Int(a), Value::Int(b)) => number(a.checked_add(*b))?,
        ("-", Value::Int(a), Value::Int(b)) => number(a.checked_sub(*b))?,
        ("*", Value::Int(a), Value::Int(b)) => number(a.checked_mul(*b))?,
        ("/", Value::Int(a), Value::Int(b)) => number(a.checked_div(*b))?,
        ("%", Value::Int(a), Value::Int(b)) => number(a.checked_rem(*b))?,
        ("+", Value::Text(a), Value::Text(b)) if a.len() + b.len() <= 1 << 16 => {
            Value::Text(format!("{a}{b}"))
        }
        _ => return Err(wrong().into()),
    })
}

fn size(value: &Value) -> Result<Value, Error> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::List(items) => items.len(),
        Value::Map(map, _) => map.len(),
        other => return Err(Error::Wrong(format!("{} has no size", other.kind()))),
    };
    i64::try_from(size).map(Value::Int).map_err(|error| Error::Wrong(error.to_string()))
}

fn function(of: Option<&Value>, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let sign = |order: Ordering| Value::Int(order as i64);
    Ok(match (of, name, arguments) {
        (None, "quantity", [Value::Text(text)]) => {
            Value::Amount(Quantity::parse(text).ok_or_else(|| format!("'{text}' is no quantity"))?)
        }
        (None, "isQuantity", [Value::Text(text)]) => Value::Bool(Quantity::parse(text).is_some()),
        (None, "semver", [Value::Text(text)]) => {
            Value::Version(Version::parse(text).ok_or_else(|| format!("'{text}' is no semantic version"))?)
        }
        (None, "isSemver", [Value::Text(text)]) => Value::Bool(Version::parse(text).is_some()),
        (None, "size", [value]) | (Some(value), "size", []) => size(value)?,
        (None, "string", [Value::Text(text)]) => Value::Text(text.clone()),
        (None, "string", [Value::Int(number)]) => Value::Text(number.to_string()),
        (None, "string", [Value::Bool(value)]) => Value::Text(value.to_string()),
        (None, "int", [Value::Int(number)]) => Value::Int(*number),
        (None, "int", [Value::Text(text)]) => {
            Value::Int(text.parse().map_err(|_| format!("'{text}' is no number"))?)
        }
        (Some(Value::Text(text)), "startsWith", [Value::Text(part)]) => {
            Value::Bool(text.starts_with(part.as_str()))
        }
        (Some(Value::Text(text)), "endsWith", [Value::Text(part)]) => {
            Value::Bool(text.ends_with(part.as_str()))
        }
        (Some(Value::Text(text)), "contains", [Value::Text(part)]) => {
            Value::Bool(text.contains(part.as_str()))
        }
        (Some(Value::Text(text)), "lowerAscii", []) => Value::Text(text.to_ascii_lowercase()),
        (Some(Value::Text(text)), "upperAscii", []) => Value::Text(text.to_ascii_uppercase()),
        (Some(Value::Amount(a)), "compareTo", [Value::Amount(b)]) => sign(a.cmp(b)),
        (Some(Value::Amount(a)), "isGreaterThan", [Value::Amount(b)]) => Value::Bool(a > b),
        (Some(Value::Amount(a)), "isLessThan", [Value::Amount(b)]) => Value::Bool(a < b),
        (Some(Value::Version(a)), "compareTo", [Value::Version(b)]) => sign(a.compare(b)),
        (Some(Value::Version(a)), "isGreaterThan", [Value::Version(b)]) => Value::Bool(a.compare(b).is_gt()),
        (Some(Value::Version(a)), "isLessThan", [Value::Version(b)]) => Value::Bool(a.compare(b).is_lt()),
        // Before 1.36 attributes that are no lists have none of these; a scalar counts as a list of one.
        (Some(Value::List(items)), "includes", [item]) => Value::Bool(items.iter().any(|own| own.same(item))),
        (Some(own), "includes", [item]) => Value::Bool(own.same(item)),
        (of, name, _) => {
            let kinds: Vec<&str> = of.iter().copied().chain(arguments).map(Value::kind).collect();
            return Err(Error::Limit(format!(
                "the function '{name}' is not known here for {}",
                if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") }
            )));
        }
    })
}
