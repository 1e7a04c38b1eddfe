//! The links of a group: names and what they point to, whatever form the group is stored in.
//!
//! Invariants: nothing is followed here, so loops and dangling links cost nothing; each index is walked with the
//! parser's guards against revisited nodes and counts beyond the file. Order is creation order where the group
//! tracks it (as all NetCDF-4 groups do), else the order of storage. Called by the tree walk.

use super::file::{H5File, fault};
use crate::error::Result;
use hdf5_reader::fractal_heap::{FractalHeap, FractalHeapDirectBlockCache};
use hdf5_reader::io::Cursor;
use hdf5_reader::local_heap::LocalHeap;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::link::{LinkMessage, LinkTarget};
use hdf5_reader::messages::link_info::LinkInfoMessage;
use hdf5_reader::messages::symbol_table_msg::SymbolTableMessage;
use hdf5_reader::symbol_table::SymbolTableNode;
use hdf5_reader::{btree_v1, btree_v2, messages};

type Parsed<T> = hdf5_reader::error::Result<T>;

/// Every link of the group whose object header lies at `address`; people call it `label`.
pub(super) fn links_of(file: &H5File, address: u64, label: &str) -> Result<Vec<LinkMessage>> {
    collect(file, address).map_err(|error| fault(label, "links of the group", error))
}

fn collect(file: &H5File, address: u64) -> Parsed<Vec<LinkMessage>> {
    let header = file.parsed().get_or_parse_header(address)?;
    let mut links = Vec::new();
    for message in &header.messages {
        match message {
            HdfMessage::SymbolTable(table) => symbol_table_links(file, table, &mut links)?,
            HdfMessage::Link(link) => links.push(link.clone()),
            HdfMessage::LinkInfo(info) if !file.is_undefined(info.fractal_heap_address) => {
                dense_links(file, info, &mut links)?;
            }
            _ => {}
        }
    }
    if links.iter().all(|link| link.creation_order.is_some()) {
        links.sort_by_key(|link| link.creation_order);
    }
    Ok(links)
}

/// Links of an old-style group: a B-tree of symbol table nodes whose names lie in a local heap.
fn symbol_table_links(file: &H5File, table: &SymbolTableMessage, links: &mut Vec<LinkMessage>) -> Parsed<()> {
    let (storage, offset_size, length_size) =
        (file.parsed().storage(), file.offset_size(), file.length_size());
    let heap = LocalHeap::parse_at_storage(storage, table.heap_address, offset_size, length_size)?;
    let segment_bytes = usize::try_from(heap.data_segment_size)
        .map_err(|_| hdf5_reader::error::Error::InvalidData("local heap is too large".into()))?;
    let segment = storage.read_range(heap.data_segment_address, segment_bytes)?;
    let leaves = btree_v1::collect_btree_v1_leaves_storage(
        storage,
        table.btree_address,
        offset_size,
        length_size,
        None,
        &[],
        None,
    )?;
    let entry_bytes = 2 * usize::from(offset_size) + 24;
    for (_, node_address) in leaves {
        let head = storage.read_range(node_address, 8)?;
        let count =
            Cursor::new(head.as_ref()).slice_from(6).and_then(|rest| Cursor::new(rest).read_u16_le())?;
        let node = storage.read_range(node_address, 8 + usize::from(count) * entry_bytes)?;
        let node = SymbolTableNode::parse(&mut Cursor::new(node.as_ref()), offset_size, length_size)?;
        for entry in &node.entries {
            let target = if entry.cache_type == 2 {
                let [a, b, c, d, ..] = entry.scratch;
                LinkTarget::Soft { path: heap_text(&segment, u64::from(u32::from_le_bytes([a, b, c, d])))? }
            } else {
                LinkTarget::Hard { address: entry.object_header_address }
            };
            let name = heap_text(&segment, entry.link_name_offset)?;
            links.push(LinkMessage { name, target, creation_order: None });
        }
    }
    Ok(())
}

/// The NUL-terminated text at `offset` of a local heap's segment.
fn heap_text(segment: &[u8], offset: u64) -> Parsed<String> {
    let rest = Cursor::new(segment).slice_from(offset)?;
    Cursor::new(rest).read_null_terminated_string()
}

/// Links of a new-style group with many of them: messages in a fractal heap, listed by a version 2 B-tree.
fn dense_links(file: &H5File, info: &LinkInfoMessage, links: &mut Vec<LinkMessage>) -> Parsed<()> {
    let (storage, offset_size, length_size) =
        (file.parsed().storage(), file.offset_size(), file.length_size());
    let heap = FractalHeap::parse_at_storage(storage, info.fractal_heap_address, offset_size, length_size)?;
    let tree = info.btree_name_index_address;
    let tree = btree_v2::BTreeV2Header::parse_at_storage(storage, tree, offset_size, length_size)?;
    let records = btree_v2::collect_btree_v2_records_storage(
        storage,
        &tree,
        offset_size,
        length_size,
        None,
        &[],
        None,
    )?;
    let mut blocks = FractalHeapDirectBlockCache::default();
    for record in &records {
        let btree_v2::BTreeV2Record::LinkNameHash { heap_id, .. } = record else { continue };
        let bytes = heap.get_object_storage_cached_with_registry(
            heap_id,
            storage,
            offset_size,
            length_size,
            &mut blocks,
            None,
        )?;
        let mut cursor = Cursor::new(&bytes);
        links.push(messages::link::parse(&mut cursor, offset_size, length_size, bytes.len())?);
    }
    Ok(())
}
