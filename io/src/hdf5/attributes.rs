//! Attributes of HDF5 objects as attributes of the model.
//!
//! Invariants: numbers keep their dtype; text is UTF-8, with bytes that are not replaced by the replacement mark;
//! what the model cannot say (references, compounds) is left out with a warning. Called by the tree walk.

use super::file::{H5File, fault};
use super::types::ItemType;
use crate::attribute::{AttributeValue, Attributes};
use crate::container::ElementType;
use crate::error::{Error, Result};
use blockwise_kernels::Scalar;
use hdf5_reader::btree_v2::BTreeV2Header;
use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::AttributeMessage;
use hdf5_reader::messages::dataspace::DataspaceType;
use hdf5_reader::messages::datatype::{Datatype, StringPadding};
use hdf5_reader::{Dataset, RawAttribute};

/// Attributes that one object may have: matching them with their datatypes takes time with the square.
const MAX_ATTRIBUTES: u64 = 1 << 16;
/// All text of one object's attributes together may take this.
const MAX_TEXT_BYTES: u64 = 256 << 20;

/// A group or dataset, which carry attributes alike.
#[derive(Clone, Copy)]
pub(super) enum Carrier<'a> {
    /// A group.
    Group(&'a Group),
    /// A dataset.
    Dataset(&'a Dataset),
}

impl Carrier<'_> {
    /// Attributes that the object header and its index claim.
    fn attribute_count(self, file: &H5File) -> hdf5_reader::error::Result<u64> {
        let address = match self {
            Self::Group(group) => group.address(),
            Self::Dataset(dataset) => dataset.address(),
        };
        let (storage, offset_size, length_size) =
            (file.parsed().storage(), file.offset_size(), file.length_size());
        let mut count = 0_u64;
        for message in &file.parsed().get_or_parse_header(address)?.messages {
            count = count.saturating_add(match message {
                HdfMessage::Attribute(_) => 1,
                HdfMessage::AttributeInfo(info) if !file.is_undefined(info.btree_name_index_address) => {
                    let at = info.btree_name_index_address;
                    BTreeV2Header::parse_at_storage(storage, at, offset_size, length_size)?.total_records
                }
                _ => 0,
            });
        }
        Ok(count)
    }
}

/// The attributes of one object as stored.
pub(super) struct StoredAttributes {
    stored: Vec<RawAttribute>,
    path: String,
}

impl StoredAttributes {
    /// Reads those of `carrier`, which people call `path`.
    pub(super) fn read(file: &H5File, carrier: Carrier<'_>, path: &str) -> Result<Self> {
        let count = carrier.attribute_count(file).map_err(|error| fault(path, "attributes", error))?;
        if count > MAX_ATTRIBUTES {
            let (what, size) = ("number of attributes", count.to_string());
            return Err(Error::Limit { path: path.to_owned(), what, size, limit: MAX_ATTRIBUTES });
        }
        let stored = match carrier {
            Carrier::Group(group) => group.raw_attributes(),
            Carrier::Dataset(dataset) => dataset.raw_attributes(),
        };
        Ok(Self { stored: stored.map_err(|error| fault(path, "attributes", error))?, path: path.to_owned() })
    }

    /// The stored form of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&AttributeMessage> {
        self.stored.iter().find(|attribute| attribute.name() == name).map(RawAttribute::message)
    }

    /// The integers of `name`, if it is made of such.
    pub(super) fn integers(&self, name: &str) -> Option<Vec<u64>> {
        let stored = self.stored.iter().find(|attribute| attribute.name() == name)?;
        let item = item_type(stored)?;
        let values = scalars(stored.message(), &item)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "identifiers are small")]
        let whole = |scalar: &Scalar| scalar.to_f64().filter(|v| *v >= 0.0).map(|v| v as u64);
        values.iter().map(whole).collect()
    }

    /// The text of `name`, if it is one.
    pub(super) fn text(&self, name: &str, file: &H5File) -> Option<String> {
        let stored = self.stored.iter().find(|attribute| attribute.name() == name)?;
        match self.translate(stored, file, &mut 0).ok()?? {
            AttributeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The labels of `rank` axes in attribute `name`: a list of texts, empty ones for axes without a label.
    pub(super) fn labels(&self, name: &str, file: &H5File, rank: usize) -> Vec<Option<String>> {
        let stored = self.stored.iter().find(|attribute| attribute.name() == name);
        let list = match stored.map(|stored| self.translate(stored, file, &mut 0)) {
            Some(Ok(Some(AttributeValue::Texts(list)))) => list,
            Some(Ok(Some(AttributeValue::Text(text)))) => vec![text],
            _ => Vec::new(),
        };
        let mut labels: Vec<_> =
            list.into_iter().map(|text| Some(text).filter(|text| !text.is_empty())).collect();
        labels.resize(rank, None);
        labels
    }

    /// All of them in the model's words, without those that `is_hidden` names.
    pub(super) fn to_model(&self, file: &H5File, is_hidden: impl Fn(&str) -> bool) -> Result<Attributes> {
        let mut attributes = Attributes::new();
        let mut text_bytes = 0;
        for stored in self.stored.iter().filter(|stored| !is_hidden(stored.name())) {
            match self.translate(stored, file, &mut text_bytes)? {
                Some(value) => attributes.set(stored.name(), value),
                None => tracing::warn!(
                    "{}: attribute {} has a type that cannot be kept; it is left out",
                    self.path,
                    stored.name()
                ),
            }
        }
        Ok(attributes)
    }

    /// One attribute in the model's words; `None` if those cannot say it.
    fn translate(
        &self,
        stored: &RawAttribute,
        file: &H5File,
        text_bytes: &mut u64,
    ) -> Result<Option<AttributeValue>> {
        let message = stored.message();
        let Some(item) = item_type(stored) else { return Ok(None) };
        Ok(match &item.element {
            ElementType::Number(dtype) => {
                let Some(mut values) = scalars(message, &item) else { return Err(self.too_short(stored)) };
                Some(match values.len() {
                    1 if values_are_one(message) => AttributeValue::Number(values.remove(0)),
                    _ => AttributeValue::Numbers(*dtype, values),
                })
            }
            ElementType::FixedBytes { len_bytes } => {
                let width = usize::try_from(*len_bytes).unwrap_or(usize::MAX).max(1);
                let count = count_of(message).ok_or_else(|| self.too_short(stored))?;
                let needed = count.checked_mul(width).ok_or_else(|| self.too_short(stored))?;
                let bytes = message.raw_data.get(..needed).ok_or_else(|| self.too_short(stored))?;
                let padding = padding_of(&message.datatype);
                Some(texts(message, bytes.chunks_exact(width).map(|item| trimmed(item, padding)).collect()))
            }
            ElementType::Text => {
                let width = 8 + usize::from(file.offset_size());
                let count = count_of(message).ok_or_else(|| self.too_short(stored))?;
                let needed = count.checked_mul(width).ok_or_else(|| self.too_short(stored))?;
                let bytes = message.raw_data.get(..needed).ok_or_else(|| self.too_short(stored))?;
                let (mut list, root) = (Vec::new(), file.root()?);
                for reference in bytes.chunks_exact(width) {
                    let text = vlen_text_of(&root, reference, &self.path)?;
                    *text_bytes = text_bytes.saturating_add(text.len() as u64 + 24);
                    if *text_bytes > MAX_TEXT_BYTES {
                        return Err(Error::Limit {
                            path: self.path.clone(),
                            what: "text of the attributes",
                            size: format!("more than {text_bytes} bytes"),
                            limit: MAX_TEXT_BYTES,
                        });
                    }
                    list.push(text);
                }
                Some(texts(message, list))
            }
            _ => None,
        })
    }

    fn too_short(&self, stored: &RawAttribute) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            what: format!(
                "attribute {} declares {:?} elements but holds {} bytes",
                stored.name(),
                stored.message().dataspace.dims,
                stored.message().raw_data.len()
            ),
            remedy: "",
        }
    }
}

/// Addresses of the objects that the references in `message` point to, one list an element: the form of
/// `DIMENSION_LIST`. Elements that cannot be read give an empty list.
pub(super) fn reference_lists(file: &H5File, message: &AttributeMessage) -> Vec<Vec<u64>> {
    let Datatype::VarLen { base, .. } = &message.datatype else { return Vec::new() };
    let Datatype::Reference { size, .. } = **base else { return Vec::new() };
    let width = 8 + usize::from(file.offset_size());
    let Ok(root) = file.root() else { return Vec::new() };
    let list_of = |reference: &[u8]| {
        let bytes = root.resolve_vlen_reference_bytes(reference, usize::from(size)).unwrap_or_default();
        let address =
            |item: &[u8]| hdf5_reader::reference::resolve_object_reference(item, file.offset_size()).ok();
        bytes.chunks_exact(usize::from(size).max(1)).filter_map(address).collect()
    };
    message.raw_data.chunks_exact(width).map(list_of).collect()
}

/// The variable-length text that `reference` points to in the global heap; `root` is any group of the file.
pub(super) fn vlen_text_of(root: &Group, reference: &[u8], path: &str) -> Result<String> {
    let bytes = root
        .resolve_vlen_reference_bytes(reference, 1)
        .map_err(|error| fault(path, "variable-length text", error))?;
    Ok(trimmed(&bytes, StringPadding::NullTerminate))
}

fn item_type(stored: &RawAttribute) -> Option<ItemType> {
    let raw = stored.raw_datatype();
    let size = raw.get(4..8)?.try_into().ok()?;
    Some(ItemType::new(&stored.message().datatype, raw, u32::from_le_bytes(size)))
}

/// Elements that the dataspace declares.
fn count_of(message: &AttributeMessage) -> Option<usize> {
    match message.dataspace.dataspace_type {
        DataspaceType::Null => Some(0),
        _ => usize::try_from(message.dataspace.num_elements().ok()?).ok(),
    }
}

/// A scalar, or NetCDF's list of one.
fn values_are_one(message: &AttributeMessage) -> bool {
    message.dataspace.dims.len() <= 1
}

fn scalars(message: &AttributeMessage, item: &ItemType) -> Option<Vec<Scalar>> {
    let ElementType::Number(dtype) = item.element else { return None };
    let bytes = message.raw_data.get(..count_of(message)?.checked_mul(dtype.size())?)?;
    bytes.chunks_exact(dtype.size()).map(|bytes| item.scalar(bytes)).collect()
}

fn texts(message: &AttributeMessage, mut list: Vec<String>) -> AttributeValue {
    match list.len() {
        0 if values_are_one(message) => AttributeValue::Text(String::new()),
        1 if values_are_one(message) => AttributeValue::Text(list.remove(0)),
        _ => AttributeValue::Texts(list),
    }
}

fn padding_of(datatype: &Datatype) -> StringPadding {
    match datatype {
        Datatype::String { padding, .. } => *padding,
        _ => StringPadding::NullTerminate,
    }
}

fn trimmed(bytes: &[u8], padding: StringPadding) -> String {
    let end_of = |pad: u8| bytes.iter().rposition(|byte| *byte != pad).map_or(0, |last| last + 1);
    let end = match padding {
        StringPadding::NullTerminate => bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()),
        StringPadding::NullPad => end_of(0),
        StringPadding::SpacePad => end_of(b' '),
    };
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
