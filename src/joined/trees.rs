//! [`Trees`]: what is in each of several files, told by how it differs from the first.
//!
//! Invariant: of files that are alike, little more than the shapes of their arrays is held. Called by [`super`].

use super::files::Files;
use blockwise_io::{ArrayInfo, ElementType, GroupInfo, NodePath, Result};
use std::collections::HashMap;

/// Attributes without which elements of two files do not mean the same.
const MEANING: [&str; 7] =
    ["units", "calendar", "scale_factor", "add_offset", "_Unsigned", "_FillValue", "missing_value"];

/// The trees of all files.
pub(super) struct Trees {
    /// Groups of the first file.
    pub(super) groups: Vec<GroupInfo>,
    /// Arrays of the first file.
    pub(super) arrays: Vec<ArrayInfo>,
    /// What each file has of these.
    pub(super) files: Vec<Vec<Option<Found>>>,
    /// Arrays that the first file lacks, with a file that has them.
    pub(super) strangers: Vec<(ArrayInfo, usize)>,
}

/// An array of one file that the first has too.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Elements per axis.
    pub(super) shape: Vec<u64>,
    /// All that is known of it, if its elements mean something else than those of the first.
    pub(super) otherwise: Option<Box<ArrayInfo>>,
}

impl Trees {
    /// Looks into every file.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn read(files: &Files) -> Result<Self> {
        let (groups, arrays) = files.nodes(0)?;
        let places: HashMap<NodePath, usize> =
            arrays.iter().enumerate().map(|(place, info)| (info.path.clone(), place)).collect();
        let mut trees = Self { groups, arrays, files: Vec::new(), strangers: Vec::new() };
        for number in 0..files.paths().len() {
            let (_, arrays) = files.nodes(number)?;
            let mut found: Vec<Option<Found>> = vec![None; trees.arrays.len()];
            for info in arrays {
                let place = places.get(&info.path).and_then(|place| found.get_mut(*place));
                let known = places.get(&info.path).and_then(|place| trees.arrays.get(*place));
                match (place, known) {
                    (Some(place), Some(known)) => {
                        let is_alike = means_the_same(known, &info);
                        let shape = info.shape.clone();
                        *place = Some(Found { shape, otherwise: (!is_alike).then(|| Box::new(info)) });
                    }
                    _ if trees.strangers.iter().any(|(other, _)| other.path == info.path) => {}
                    _ => trees.strangers.push((info, number)),
                }
            }
            trees.files.push(found);
        }
        Ok(trees)
    }

    /// The array `place` of the first file as the file `number` has it.
    pub(super) fn info(&self, number: usize, place: usize) -> Option<&ArrayInfo> {
        let found = self.files.get(number)?.get(place)?.as_ref()?;
        found.otherwise.as_deref().or_else(|| self.arrays.get(place))
    }

    /// The shape of the array `place` in the file `number`.
    pub(super) fn shape(&self, number: usize, place: usize) -> Option<&[u64]> {
        Some(&self.files.get(number)?.get(place)?.as_ref()?.shape)
    }

    /// Which dimensions an array has: their names, with the group that they belong to unless that is the root. Where a file is one
    /// array and its axes have no names, they are told apart by numbers; how many letters a text has is no dimension.
    pub(super) fn dimensions(&self, info: &ArrayInfo) -> Vec<Option<String>> {
        let is_alone = self.arrays.len() == 1;
        let is_text = matches!(info.element_type, ElementType::FixedBytes { len_bytes: 1 });
        let letters = info.shape.len().checked_sub(1).filter(|_| is_text && info.shape.len() > 1);
        let named = |axis: usize| {
            let name = info.dimension_names.get(axis)?.as_ref()?;
            Some(dimension_in(&self.owner(info, name), name))
        };
        (0..info.shape.len())
            .map(|axis| {
                let known = named(axis).or_else(|| is_alone.then(|| format!("axis {axis}")));
                known.filter(|_| letters != Some(axis))
            })
            .collect()
    }

    /// The group that the dimension `name` of an array belongs to: the nearest above it that declares it or holds its coordinates.
    fn owner(&self, info: &ArrayInfo, name: &str) -> NodePath {
        let declares = |group: &NodePath| {
            let declared = self.groups.iter().find(|known| known.path == *group);
            declared.is_some_and(|known| known.dimensions.iter().any(|(own, ..)| own == name))
                || self.arrays.iter().any(|other| {
                    other.is_coordinate
                        && other.path.name() == Some(name)
                        && other.path.parent().as_ref() == Some(group)
                })
        };
        let mut at = info.path.parent();
        while let Some(group) = at {
            if declares(&group) {
                return group;
            }
            at = group.parent();
        }
        NodePath::root()
    }
}

/// What the dimension `name` of a group is called among all of a file.
pub(super) fn dimension_in(group: &NodePath, name: &str) -> String {
    if group.is_root() { name.to_owned() } else { format!("{group}/{name}") }
}

fn means_the_same(one: &ArrayInfo, other: &ArrayInfo) -> bool {
    one.element_type == other.element_type
        && one.dimension_names == other.dimension_names
        && one.shape.len() == other.shape.len()
        && MEANING.iter().all(|name| one.attributes.get(name) == other.attributes.get(name))
}
