//! Short texts that stand for long ones: whether a run that is resumed is still the same run.
//!
//! Invariant: equal only for things whose debug texts are equal, as far as 128 bits tell. Called by
//! [`crate::transfer`] and [`crate::location`].

use std::fmt::{self, Debug, Write};

/// FNV-1a over 128 bits (Fowler, Noll, Vo), of the debug texts of what is added. No defence against who wants to
/// collide: it guards against mistakes.
pub(crate) struct Fingerprint {
    state: u128,
}

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Default for Fingerprint {
    fn default() -> Self {
        Self { state: OFFSET }
    }
}

impl Fingerprint {
    /// Takes in the debug text of `part` and its end.
    pub(crate) fn add<T: Debug + ?Sized>(&mut self, part: &T) {
        // Writing to a fingerprint cannot fail.
        let _ = write!(self, "{part:?}\u{1f}");
    }
}

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.state = (self.state ^ u128::from(byte)).wrapping_mul(PRIME);
        }
        Ok(())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> String {
        let mut fingerprint = Fingerprint::default();
        parts.iter().for_each(|part| fingerprint.add(part));
        fingerprint.to_string()
    }

    #[test]
    fn differs_where_parts_do() {
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_eq!(of(&[]), format!("{OFFSET:032x}"));
    }
}
