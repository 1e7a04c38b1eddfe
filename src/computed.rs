//! What is to be stored of a computed array, and what its file declares: one way for programs and for `eval`.
//!
//! Invariant: a dimension name means one length in a file. Called by [`crate::store`] and [`crate::evaluate`].

use blockwise_core::Array;
use blockwise_io::{ArrayInfo, Attributes, ElementType, Format, GroupInfo, NodePath};

/// A computed array as what stores it sees it: cut as it is, without attributes, the format's usual codec. `format`
/// stands for where its chunks come from.
pub(crate) fn info_of(path: NodePath, array: &Array, format: Format) -> ArrayInfo {
    let names = array.names().to_vec();
    let is_coordinate = names.len() == 1
        && names.first().is_some_and(|name| name.is_some() && name.as_deref() == path.name());
    ArrayInfo {
        path,
        format,
        element_type: ElementType::Number(array.dtype()),
        shape: array.shape(),
        unlimited: vec![false; names.len()],
        dimension_names: names,
        chunk_shape: Some(array.grid().largest_chunk().into_iter().map(|length| length.max(1)).collect()),
        shard_shape: None,
        codec: None,
        codec_text: String::new(),
        fill_value: None,
        attributes: Attributes::new(),
        is_coordinate,
    }
}

/// Declares the dimensions of the array `what` in the group that all arrays of a file share; `grows` says which may.
///
/// # Errors
/// If another array has other lengths; what is wrong.
pub(crate) fn declare(
    group: &mut GroupInfo,
    what: &str,
    names: &[Option<String>],
    shape: &[u64],
    grows: impl Fn(&str, u64) -> bool,
) -> Result<(), String> {
    for (name, &length) in names.iter().zip(shape) {
        let Some(name) = name else { continue };
        match group.dimensions.iter().find(|(known, ..)| known == name) {
            Some((_, known, _)) if *known == length => {}
            Some((_, known, _)) => {
                return Err(format!(
                    "'{what}' has {length} elements along '{name}', another array {known}; store them in two files, or name the dimension otherwise"
                ));
            }
            None => group.dimensions.push((name.clone(), length, grows(name, length))),
        }
    }
    Ok(())
}
