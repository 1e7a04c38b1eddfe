//! Byte shuffle: all first bytes of the items, then all second ones, and so on; bytes beyond the last whole item stay.
//!
//! Called through [`Codec`](super::Codec) and by blosc.

/// Gathers the bytes of `input`'s items by significance. Both slices have the same length.
pub(super) fn shuffle(output: &mut [u8], input: &[u8], item_bytes: usize) {
    let items = if item_bytes > 1 { input.len() / item_bytes } else { 0 };
    for (byte, row) in
        output.chunks_exact_mut(items.max(1)).enumerate().take(if items > 0 { item_bytes } else { 0 })
    {
        for (to, from) in row.iter_mut().zip(input[byte..].iter().step_by(item_bytes)) {
            *to = *from;
        }
    }
    output[items * item_bytes..input.len()].copy_from_slice(&input[items * item_bytes..]);
}

/// Undoes [`shuffle`].
pub(super) fn unshuffle(output: &mut [u8], input: &[u8], item_bytes: usize) {
    let items = if item_bytes > 1 { input.len() / item_bytes } else { 0 };
    for (byte, row) in
        input.chunks_exact(items.max(1)).enumerate().take(if items > 0 { item_bytes } else { 0 })
    {
        for (to, from) in output[byte..].iter_mut().step_by(item_bytes).zip(row) {
            *to = *from;
        }
    }
    output[items * item_bytes..input.len()].copy_from_slice(&input[items * item_bytes..]);
}
