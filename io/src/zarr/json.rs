//! Metadata documents: read with limits, and the bare `NaN` that older writers put into attributes.
//!
//! Invariants: a document has at most 16 MiB and 128 levels (the parser's own limit), so a hostile one costs
//! bounded memory and stack; a fault names the document and the field. Called by everything that reads metadata.

use crate::error::{Error, Result};
use crate::store::ByteStore;
use blockwise_kernels::BufferPool;
use serde_json::{Map, Value};

/// Bytes that a metadata document may have.
pub(crate) const DOCUMENT_LIMIT_BYTES: u64 = 16 << 20;

/// Texts that stand for the tokens `NaN`, `Infinity` and `-Infinity`, which JSON does not have.
pub(crate) const NOT_A_NUMBER: [(&str, f64); 3] =
    [("\u{1}NaN", f64::NAN), ("\u{1}-Infinity", f64::NEG_INFINITY), ("\u{1}Infinity", f64::INFINITY)];

/// The error of a document or chunk that is corrupt.
pub(crate) fn corrupt(path: impl Into<String>, what: impl Into<String>) -> Error {
    Error::Corrupt { path: path.into(), what: what.into(), remedy: "" }
}

/// The error of a document that asks for something that is not built.
pub(crate) fn unsupported(path: impl Into<String>, what: impl Into<String>) -> Error {
    Error::Unsupported { path: path.into(), what: what.into(), remedy: "" }
}

/// What errors call `key` of `store`.
pub(crate) fn path_of(store: &dyn ByteStore, key: &str) -> String {
    if key.is_empty() { store.label().to_owned() } else { format!("{}/{key}", store.label()) }
}

/// Reads the object that `key` names; `None` if there is none.
///
/// # Errors
/// If it cannot be read, is too large or is no JSON object.
pub(crate) fn read_object(store: &dyn ByteStore, key: &str) -> Result<Option<Map<String, Value>>> {
    let pool = BufferPool::new(0);
    let Some(bytes) = store.get(key, DOCUMENT_LIMIT_BYTES, &pool)? else { return Ok(None) };
    parse_object(&path_of(store, key), &bytes).map(Some)
}

/// The object that `bytes` say.
///
/// # Errors
/// If they are no JSON object.
pub(crate) fn parse_object(path: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    let value = serde_json::from_slice(bytes).or_else(|error| {
        let tolerant = named_tokens(bytes).ok_or(error)?;
        serde_json::from_slice(&tolerant)
    });
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(corrupt(path, "the metadata is no JSON object")),
        Err(error) => Err(corrupt(path, format!("the metadata is no valid JSON: {error}"))),
    }
}

/// `bytes` with bare `NaN`, `Infinity` and `-Infinity` as texts; `None` if there are none.
fn named_tokens(bytes: &[u8]) -> Option<Vec<u8>> {
    const TOKENS: [(&[u8], &[u8]); 3] = [
        (b"NaN", b"\"\\u0001NaN\""),
        (b"-Infinity", b"\"\\u0001-Infinity\""),
        (b"Infinity", b"\"\\u0001Infinity\""),
    ];
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let (mut at, mut in_text, mut found) = (0, false, false);
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        if in_text {
            let take = if byte == b'\\' { 2 } else { 1 };
            out.extend(rest.iter().take(take));
            at += take;
            in_text = byte != b'"';
        } else if let Some((token, text)) = TOKENS.iter().find(|(token, _)| rest.starts_with(token)) {
            out.extend_from_slice(text);
            at += token.len();
            found = true;
        } else {
            out.push(byte);
            at += 1;
            in_text = byte == b'"';
        }
    }
    found.then_some(out)
}

/// The value of the bare token that `text` stands for.
pub(crate) fn bare_token(text: &str) -> Option<f64> {
    NOT_A_NUMBER.iter().find(|(token, _)| *token == text).map(|(_, value)| *value)
}

/// The field `name`, which must be there.
///
/// # Errors
/// If it is not.
pub(crate) fn field<'a>(path: &str, object: &'a Map<String, Value>, name: &str) -> Result<&'a Value> {
    object.get(name).ok_or_else(|| corrupt(path, format!("the field '{name}' is missing")))
}

/// A list of lengths: `shape`, `chunks`.
///
/// # Errors
/// If `value` is no list of whole numbers that fit 64 bits, or has more than 32 of them.
pub(crate) fn lengths(path: &str, name: &str, value: &Value) -> Result<Vec<u64>> {
    let list = value.as_array().ok_or_else(|| corrupt(path, format!("'{name}' is no list")))?;
    if list.len() > blockwise_core::region::MAX_RANK {
        let size = format!("{} axes", list.len());
        return Err(Error::Limit {
            path: path.into(),
            what: "rank",
            size,
            limit: blockwise_core::region::MAX_RANK as u64,
        });
    }
    let length = |value: &Value| {
        value
            .as_u64()
            .ok_or_else(|| corrupt(path, format!("'{name}' holds {value}, no length of 0 to 2^64 - 1")))
    };
    list.iter().map(length).collect()
}

/// A `{"name": ..., "configuration": {...}}` of Zarr v3, or its short form, the name alone.
pub(crate) struct Named<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// The configuration; none is an empty one.
    pub(crate) configuration: Option<&'a Map<String, Value>>,
}

impl<'a> Named<'a> {
    /// What `value`, the field `field`, names.
    ///
    /// # Errors
    /// If it is neither a text nor such an object.
    pub(crate) fn parse(path: &str, field: &str, value: &'a Value) -> Result<Self> {
        let wrong = || corrupt(path, format!("'{field}' holds {}, which names nothing", excerpt(value)));
        match value {
            Value::String(name) => Ok(Self { name, configuration: None }),
            Value::Object(object) => {
                let name = object.get("name").and_then(Value::as_str).ok_or_else(wrong)?;
                let configuration = match object.get("configuration") {
                    None | Some(Value::Null) => None,
                    Some(Value::Object(configuration)) => Some(configuration),
                    Some(_) => {
                        return Err(corrupt(path, format!("the configuration of '{name}' is no object")));
                    }
                };
                Ok(Self { name, configuration })
            }
            _ => Err(wrong()),
        }
    }

    /// The entry `key` of the configuration.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.configuration?.get(key).filter(|value| !value.is_null())
    }
}

/// The start of a value, for messages.
pub(crate) fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_tokens_are_read_and_texts_left_alone() {
        let object =
            parse_object("p", br#"{"a": NaN, "b": [-Infinity, 1], "c": "NaN \" Infinity"}"#).unwrap();
        assert!(object["a"].as_str().and_then(bare_token).unwrap().is_nan());
        assert_eq!(object["b"][0].as_str().and_then(bare_token), Some(f64::NEG_INFINITY));
        assert_eq!(object["c"], "NaN \" Infinity");
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = format!("{{\"x\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        for bad in ["", "null", "[1]", "{\"a\": 1", "\0\0\0", &deep, "{\"a\": nan}"] {
            assert!(matches!(parse_object("p", bad.as_bytes()), Err(Error::Corrupt { .. })), "{bad:.20}");
        }
        let long = Value::from(vec![1; 33]);
        assert!(matches!(lengths("p", "shape", &long), Err(Error::Limit { .. })));
        for bad in ["[-1]", "[1.5]", "[18446744073709551616]", "[\"1\"]", "3"] {
            assert!(lengths("p", "shape", &serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
