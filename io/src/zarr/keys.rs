//! Names of chunks: `0.1`, `c/0/1` and the like.
//!
//! Invariant: [`KeyEncoding::index_of`] undoes [`KeyEncoding::key`] and refuses everything that it did not make, so
//! that stray files are no chunks. Called by sources, sinks and listings.

use super::json::{Named, corrupt, excerpt, unsupported};
use crate::error::Result;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// How the index of a chunk becomes a key below its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyEncoding {
    /// Whether keys start with `c` (v3's default).
    prefixed: bool,
    separator: char,
}

impl KeyEncoding {
    /// What new Zarr v2 arrays use.
    pub(crate) const V2: Self = Self { prefixed: false, separator: '.' };
    /// What new Zarr v3 arrays use.
    pub(crate) const V3: Self = Self { prefixed: true, separator: '/' };

    /// From v2's `dimension_separator`.
    ///
    /// # Errors
    /// If that is neither a dot nor a slash.
    pub(crate) fn parse_v2(path: &str, metadata: &Map<String, Value>) -> Result<Self> {
        match metadata.get("dimension_separator") {
            None | Some(Value::Null) => Ok(Self::V2),
            Some(value) => Ok(Self { prefixed: false, separator: separator(path, value)? }),
        }
    }

    /// From v3's `chunk_key_encoding`.
    ///
    /// # Errors
    /// If it is unknown.
    pub(crate) fn parse_v3(path: &str, value: &Value) -> Result<Self> {
        let named = Named::parse(path, "chunk_key_encoding", value)?;
        let default = match named.name {
            "default" => Self::V3,
            "v2" => Self::V2,
            name => return Err(unsupported(path, format!("the chunk key encoding '{name}'"))),
        };
        match named.get("separator") {
            None => Ok(default),
            Some(value) => Ok(Self { separator: separator(path, value)?, ..default }),
        }
    }

    /// As v3's metadata says it.
    pub(crate) fn to_v3(self) -> Value {
        let name = if self.prefixed { "default" } else { "v2" };
        json!({"name": name, "configuration": {"separator": self.separator.to_string()}})
    }

    /// The key of chunk `index` below `array`, the key of its array.
    pub(crate) fn key(self, array: &str, index: &[u64]) -> String {
        let mut key = String::with_capacity(array.len() + 8 + 8 * index.len());
        key.push_str(array);
        if !array.is_empty() {
            key.push('/');
        }
        if self.prefixed {
            key.push('c');
        } else if index.is_empty() {
            key.push('0');
        }
        for (axis, at) in index.iter().enumerate() {
            if self.prefixed || axis > 0 {
                key.push(self.separator);
            }
            let _ = write!(key, "{at}"); // writing to a String does not fail
        }
        key
    }

    /// The index of the chunk whose key below its array is `key`, for an array with `counts` chunks per axis.
    pub(crate) fn index_of(self, key: &str, counts: &[u64]) -> Option<Vec<u64>> {
        let rest = if self.prefixed { key.strip_prefix('c')? } else { key };
        if counts.is_empty() {
            let expected = if self.prefixed { "" } else { "0" };
            return (rest == expected).then(Vec::new);
        }
        let rest = if self.prefixed { rest.strip_prefix(self.separator)? } else { rest };
        let mut index = Vec::with_capacity(counts.len());
        for part in rest.split(self.separator) {
            let at: u64 = part.parse().ok()?;
            let canonical = part.len() == 1 || !part.starts_with(['0', '+']);
            let count = counts.get(index.len())?;
            if !canonical || at >= *count {
                return None;
            }
            index.push(at);
        }
        (index.len() == counts.len()).then_some(index)
    }
}

fn separator(path: &str, value: &Value) -> Result<char> {
    match value.as_str() {
        Some(".") => Ok('.'),
        Some("/") => Ok('/'),
        _ => Err(corrupt(path, format!("the chunk separator {} is neither \".\" nor \"/\"", excerpt(value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_back() {
        let dotted = KeyEncoding { prefixed: true, separator: '.' };
        let slashed = KeyEncoding { prefixed: false, separator: '/' };
        for (encoding, index, key) in [
            (KeyEncoding::V2, &[0, 12][..], "0.12"),
            (KeyEncoding::V2, &[], "0"),
            (slashed, &[3, 4], "3/4"),
            (KeyEncoding::V3, &[3, 4], "c/3/4"),
            (KeyEncoding::V3, &[], "c"),
            (dotted, &[3, 4], "c.3.4"),
        ] {
            assert_eq!(encoding.key("", index), key);
            assert_eq!(encoding.key("a/b", index), format!("a/b/{key}"));
            let counts = vec![20; index.len()];
            assert_eq!(encoding.index_of(key, &counts).as_deref(), Some(index));
        }
        for stray in ["0.20", "00.1", "+1.1", "0", "0.1.2", "0.1.tmp", "", ".zarray", "-1.0"] {
            assert_eq!(KeyEncoding::V2.index_of(stray, &[20, 20]), None, "{stray}");
        }
    }
}
