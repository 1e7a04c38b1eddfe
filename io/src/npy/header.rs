//! The header of npy files: a Python dictionary of three entries, as text.
//!
//! Invariant: nothing but literals is understood; sizes are limits until checked. Called by [`super`].

use super::SIGNATURE;
use crate::container::ElementType;
use crate::error::{Error, Result};
use crate::store::RegularFile;
use blockwise_core::region::MAX_RANK;
use blockwise_kernels::DType;

/// Longest header that is read. NumPy itself stops at 10000 bytes unless told otherwise.
const LONGEST_HEADER_BYTES: usize = 1 << 20;
/// Header and elements meet at a multiple of this.
const ALIGNMENT_BYTES: usize = 64;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element_type: ElementType,
    /// Bytes of one element.
    pub(super) item_bytes: usize,
    /// Whether numbers have the byte order that this machine has not.
    pub(super) is_swapped: bool,
    /// Whether the first axis is the fastest.
    pub(super) is_fortran: bool,
    pub(super) shape: Vec<u64>,
    /// Where the elements start in the file.
    pub(super) data_offset: u64,
}

impl Header {
    /// Reads the header of `file`.
    pub(super) fn read(file: &RegularFile) -> Result<Self> {
        let corrupt = |what: String| Error::Corrupt { path: file.label().to_owned(), what, remedy: "" };
        let mut start = [0; 12];
        let start_bytes = start.len().min(usize::try_from(file.len_bytes()).unwrap_or(usize::MAX));
        file.read_exact_at(0, start.get_mut(..start_bytes).unwrap_or_default())?;
        let [s0, s1, s2, s3, s4, s5, major, _minor, l0, l1, l2, l3] = start;
        if [s0, s1, s2, s3, s4, s5] != SIGNATURE {
            return Err(corrupt("it does not begin as an npy file".to_owned()));
        }
        let (length_bytes, len) = match major {
            1 => (2, usize::from(u16::from_le_bytes([l0, l1]))),
            2 | 3 => (4, u32::from_le_bytes([l0, l1, l2, l3]) as usize),
            _ => {
                let what = format!("npy version {major}");
                return Err(Error::Unsupported { path: file.label().to_owned(), what, remedy: "" });
            }
        };
        let text_offset = 8 + length_bytes;
        if len > LONGEST_HEADER_BYTES || text_offset + len as u64 > file.len_bytes() {
            let what = format!("the header states {len} bytes of itself, the file has {}", file.len_bytes());
            return Err(corrupt(what));
        }
        let mut text = vec![0; len];
        file.read_exact_at(text_offset, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        let fields = Fields::parse(&text).ok_or_else(|| {
            let shown: String = text.trim().chars().take(120).collect();
            corrupt(format!("the header is not as NumPy writes it: {shown}"))
        })?;
        if fields.shape.len() > MAX_RANK {
            let size = format!("{} axes", fields.shape.len());
            return Err(Error::Limit {
                path: file.label().to_owned(),
                what: "rank",
                size,
                limit: MAX_RANK as u64,
            });
        }
        let Some((element_type, item_bytes, is_swapped)) = parse_descr(fields.descr) else {
            let (what, remedy) = match fields.descr {
                Descr::Text(text) if text.contains('O') => (
                    "pickled Python objects (dtype object)".to_owned(),
                    "; loading them could run any program: save the array with a plain dtype",
                ),
                Descr::Text(text) => (format!("the dtype '{text}'"), ""),
                Descr::List => ("a structured dtype".to_owned(), "; save each field as an array of its own"),
            };
            return Err(Error::Unsupported { path: file.label().to_owned(), what, remedy });
        };
        let data_offset = text_offset + len as u64;
        Ok(Self {
            element_type,
            item_bytes,
            is_swapped,
            is_fortran: fields.is_fortran,
            shape: fields.shape,
            data_offset,
        })
    }

    /// The bytes of the header of a C-order array.
    pub(super) fn bytes(descr: &str, shape: &[u64]) -> Vec<u8> {
        let list: Vec<String> = shape.iter().map(u64::to_string).collect();
        let comma = if shape.len() == 1 { "," } else { "" };
        let shape = list.join(", ");
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}{comma}), }}");
        let padded = |prefix: usize| (prefix + text.len() + 1).next_multiple_of(ALIGNMENT_BYTES) - prefix;
        let mut bytes = SIGNATURE.to_vec();
        let len = match u16::try_from(padded(10)) {
            Ok(len) => {
                bytes.extend([1, 0]);
                bytes.extend(len.to_le_bytes());
                usize::from(len)
            }
            Err(_) => {
                let len = padded(12);
                bytes.extend([2, 0]);
                bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()); // 32 axes of 20 digits at most
                len
            }
        };
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len() + len - text.len() - 1, b' ');
        bytes.push(b'\n');
        bytes
    }
}

/// The three entries.
struct Fields<'a> {
    descr: Descr<'a>,
    is_fortran: bool,
    shape: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Descr<'a> {
    Text(&'a str),
    List,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        while !rest.is_empty() {
            let (name, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match name {
                "descr" => {
                    let (found, after) = if value.starts_with('[') {
                        (Descr::List, after_list(value)?)
                    } else {
                        let (text, after) = quoted(value)?;
                        (Descr::Text(text), after)
                    };
                    descr = Some(found);
                    after
                }
                "fortran_order" => {
                    let (found, after) = match value.strip_prefix("True") {
                        Some(after) => (true, after),
                        None => (false, value.strip_prefix("False")?),
                    };
                    is_fortran = Some(found);
                    after
                }
                "shape" => {
                    let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(lengths(inside)?);
                    after
                }
                _ => return None,
            };
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.is_empty() => "",
                None => return None,
            };
        }
        Some(Self { descr: descr?, is_fortran: is_fortran?, shape: shape? })
    }
}

/// A text in single or double quotes at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text.get(1..)?.split_once(quote)
}

/// What follows the list at the start.
fn after_list(text: &str) -> Option<&str> {
    let mut depth = 0_u32;
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return text.get(at + 1..);
        }
    }
    None
}

/// The numbers of a tuple's inside. Python 2 wrote an `L` behind some.
fn lengths(inside: &str) -> Option<Vec<u64>> {
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|part| part.trim().trim_end_matches('L').parse().ok()).collect()
}

/// Element type, bytes of an element, and whether its numbers are swapped; `None` for what is refused.
fn parse_descr(descr: Descr<'_>) -> Option<(ElementType, usize, bool)> {
    let Descr::Text(text) = descr else { return None };
    let (order, code) = text.split_at_checked(1)?;
    let (kind, size) = code.split_at_checked(1)?;
    let foreign = if cfg!(target_endian = "little") { ">" } else { "<" };
    if !matches!(order, "<" | ">" | "|" | "=") {
        return None;
    }
    let is_swapped = order == foreign;
    if matches!(kind, "M" | "m") {
        let unit = size.strip_prefix("8[")?.strip_suffix(']')?;
        let element = ElementType::DateTime { unit: unit.to_owned(), difference: kind == "m" };
        return Some((element, 8, is_swapped));
    }
    let item_bytes = size.parse::<usize>().ok()?;
    let element = match kind {
        "S" => ElementType::FixedBytes { len_bytes: item_bytes as u64 },
        "U" => {
            return Some((
                ElementType::Other(format!("str{item_bytes}")),
                item_bytes.checked_mul(4)?,
                is_swapped,
            ));
        }
        "b" | "i" | "u" | "f" | "c" => {
            let dtype = DType::ALL.iter().find(|dtype| {
                dtype.kind().to_string() == kind && dtype.size() == item_bytes && **dtype != DType::BF16
            })?;
            ElementType::Number(*dtype)
        }
        _ => return None,
    };
    Some((element, item_bytes, is_swapped && item_bytes > 1 && kind != "S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: u8, text: &str) -> Result<Header> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes()),
            _ => bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes()),
        }
        bytes.extend(text.as_bytes());
        std::fs::write(&path, bytes).unwrap();
        Header::read(&RegularFile::open(&path)?)
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        let header = read(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n").unwrap();
        assert_eq!((header.element_type, header.shape), (ElementType::Number(DType::F32), vec![3, 4]));
        assert_eq!((header.is_swapped, header.is_fortran), (cfg!(target_endian = "big"), false));
        let header = read(2, "{'shape': (5L,), 'fortran_order': True, 'descr': '>i8'}").unwrap();
        assert_eq!((header.item_bytes, header.is_fortran, header.shape), (8, true, vec![5]));
        let header = read(3, "{\"descr\": \"|S7\", 'fortran_order': False, 'shape': ()}").unwrap();
        assert_eq!(header.element_type, ElementType::FixedBytes { len_bytes: 7 });
        let header = read(1, "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (0,), }").unwrap();
        assert_eq!(header.element_type, ElementType::DateTime { unit: "ns".to_owned(), difference: false });
        let header = read(1, "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }").unwrap();
        assert_eq!((header.element_type, header.item_bytes), (ElementType::Other("str3".to_owned()), 12));
    }

    #[test]
    fn what_numpy_does_not_write_is_refused() {
        let object = read(1, "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }").unwrap_err();
        assert!(object.to_string().contains("object"), "{object}");
        let fields = read(
            1,
            "{'descr': [('a', '<f4'), ('b', [('c', '<i2')])], 'fortran_order': False, 'shape': (1,), }",
        );
        assert!(fields.unwrap_err().to_string().contains("structured"));
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': 'é4', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': [[[, 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': __import__('os')}",
        ] {
            assert!(read(1, text).is_err(), "{text}");
        }
        assert!(read(9, "{}").is_err());
        let deep = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(33));
        assert!(matches!(read(1, &deep), Err(Error::Limit { .. })));
    }

    #[test]
    fn written_headers_are_read_back() {
        for shape in [vec![], vec![7], vec![0, 3], vec![u64::MAX; 32]] {
            let bytes = Header::bytes("<f8", &shape);
            assert_eq!(bytes.len() % ALIGNMENT_BYTES, 0);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.npy");
            std::fs::write(&path, &bytes).unwrap();
            let header = Header::read(&RegularFile::open(&path).unwrap()).unwrap();
            assert_eq!((header.shape, header.data_offset), (shape, bytes.len() as u64));
        }
    }
}
