//! Attributes: named values that belong to a group or array.
//!
//! Invariants: order is kept; numbers keep their dtype, because `_FillValue` and `scale_factor` mean different
//! things as f32 and f64. Called by every format, which translates its own attributes to and from these.

use blockwise_kernels::{DType, Scalar};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// One number.
    Number(Scalar),
    /// A list of numbers of one dtype (possibly empty).
    Numbers(DType, Vec<Scalar>),
    /// Anything else that JSON can say (nested objects, null, mixed lists); only Zarr holds such.
    Json(serde_json::Value),
}

/// The attributes of a node, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    entries: Vec<(String, AttributeValue)>,
}

impl Attributes {
    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Sets `name`, in its old place if it is there already, else at the end.
    pub fn set(&mut self, name: impl Into<String>, value: AttributeValue) {
        let name = name.into();
        match self.entries.iter_mut().find(|(key, _)| *key == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<AttributeValue> {
        let at = self.entries.iter().position(|(key, _)| key == name)?;
        Some(self.entries.remove(at).1)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
