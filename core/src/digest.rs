//! [`Digest`]: short texts that stand for long ones, to tell whether two programs mean the same plan or the same run.
//!
//! Invariant: equal only for things whose debug texts are equal, as far as 128 bits tell. Called by the plans of this crate, and
//! by the facade for runs that are resumed.

use std::fmt::{self, Debug, Write};

/// FNV-1a over 128 bits (Fowler, Noll, Vo), of the debug texts of what is added. No defence against who wants to
/// collide: it guards against mistakes.
///
/// ```
/// use blockwise_core::digest::Digest;
/// let (mut one, mut other) = (Digest::default(), Digest::default());
/// one.add(&[1, 2]);
/// other.add(&[1, 3]);
/// assert_ne!(one.to_string(), other.to_string());
/// ```
#[derive(Debug)]
pub struct Digest {
    state: u128,
}

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Default for Digest {
    fn default() -> Self {
        Self { state: OFFSET }
    }
}

impl Digest {
    /// Takes in the debug text of `part` and its end.
    pub fn add<T: Debug + ?Sized>(&mut self, part: &T) {
        // Writing to a digest cannot fail.
        let _ = write!(self, "{part:?}\u{1f}");
    }

    /// Takes in `bytes` alone: two calls are as one with all of them.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = (self.state ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add_bytes(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> String {
        let mut digest = Digest::default();
        parts.iter().for_each(|part| digest.add(part));
        digest.to_string()
    }

    #[test]
    fn differs_where_parts_do() {
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_eq!(of(&[]), format!("{OFFSET:032x}"));
    }
}
