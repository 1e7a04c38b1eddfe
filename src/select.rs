//! `--include` and `--exclude`: which nodes of a container take part.
//!
//! Invariants: a glob is held against the whole path of a node and against its last component; excluding a group
//! excludes what is below it; coordinates of an included array, and what its CF attributes name, come along unless excluded. Called by
//! [`crate::convert`] and [`crate::verify`].

use crate::error::{Error, Result};
use blockwise_io::{ArrayInfo, AttributeValue, Attributes, GroupInfo, NodePath};
use glob::Pattern;

/// Globs that choose nodes. The default chooses all.
///
/// ```
/// use blockwise::Selection;
/// let selection = Selection::new(&["t2m", "surface/*"], &["*_bnds"])?;
/// assert!(selection.takes(&"surface/rain".parse()?) && !selection.takes(&"surface/rain_bnds".parse()?));
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selection {
    /// What the globs choose: everything, or what some `include` matches, less what some `exclude` matches.
    ///
    /// # Errors
    /// If a text is no glob.
    pub fn new<T: AsRef<str>>(include: &[T], exclude: &[T]) -> Result<Self> {
        Ok(Self { include: patterns(include)?, exclude: patterns(exclude)? })
    }

    /// Holds every glob against the arrays and groups of `label`, so that one that is mistyped is noticed.
    ///
    /// # Errors
    /// [`Error::Usage`] if an include matches none of them; of an exclude a warning says so, as one is often given for many
    /// containers.
    pub(crate) fn check(&self, label: &str, arrays: &[&ArrayInfo], groups: &[&GroupInfo]) -> Result<()> {
        let nodes = || arrays.iter().map(|array| &array.path).chain(groups.iter().map(|group| &group.path));
        let matches_none = |pattern: &&Pattern| !nodes().any(|path| reaches(pattern, path));
        let what = |option: &str, pattern: &Pattern| {
            let remedy = if pattern.as_str().contains(',') {
                format!("give every glob its own {option}")
            } else {
                "see what there is with `arrayctl ls`".to_owned()
            };
            format!("no array or group matches {option} '{pattern}'; {remedy}")
        };
        for pattern in self.exclude.iter().filter(matches_none) {
            tracing::warn!("{label}: {}", what("--exclude", pattern));
        }
        match self.include.iter().find(matches_none) {
            Some(pattern) => Err(Error::Usage { path: label.to_owned(), what: what("--include", pattern) }),
            None => Ok(()),
        }
    }

    /// Whether the node at `path` is chosen by name.
    #[must_use]
    pub fn takes(&self, path: &NodePath) -> bool {
        (self.include.is_empty() || self.include.iter().any(|pattern| matches(pattern, path)))
            && !self.leaves_out(path)
    }

    /// Whether the node or a group above it is excluded.
    fn leaves_out(&self, path: &NodePath) -> bool {
        self.exclude.iter().any(|pattern| reaches(pattern, path))
    }

    /// The arrays that are chosen, in their order, with the coordinates of those that an include named, and with what CF
    /// attributes of all these name: auxiliary coordinates, bounds, grid mappings.
    #[must_use]
    pub fn arrays<'a>(&self, arrays: &[&'a ArrayInfo]) -> Vec<&'a ArrayInfo> {
        let mut chosen: Vec<bool> = arrays.iter().map(|array| self.takes(&array.path)).collect();
        loop {
            let taken = || arrays.iter().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(array, _)| *array);
            let comes_along = |candidate: &ArrayInfo| {
                !self.leaves_out(&candidate.path)
                    && taken()
                        .any(|array| is_coordinate_of(candidate, array) || is_named_by(candidate, array))
            };
            let next: Vec<bool> =
                arrays.iter().zip(&chosen).map(|(array, chosen)| *chosen || comes_along(array)).collect();
            if next == chosen {
                break;
            }
            chosen = next;
        }
        arrays.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(array, _)| *array).collect()
    }

    /// The groups that are chosen: those above a chosen array, and empty ones that are not left out.
    #[must_use]
    pub fn groups<'a>(&self, groups: &[&'a GroupInfo], arrays: &[&ArrayInfo]) -> Vec<&'a GroupInfo> {
        let holds = |group: &GroupInfo| {
            arrays.iter().any(|array| crate::location::is_within(&array.path, &group.path))
        };
        groups.iter().copied().filter(|group| holds(group) || self.takes(&group.path)).collect()
    }
}

/// CF attributes whose words name arrays that belong to the one that has them.
const NAMING: [&str; 4] = ["coordinates", "bounds", "climatology", "grid_mapping"];

/// Whether `candidate` stands where names in attributes and dimensions of `array` are looked up.
fn is_in_scope(candidate: &ArrayInfo, array: &ArrayInfo) -> bool {
    candidate
        .path
        .parent()
        .is_some_and(|group| array.path.parent().is_some_and(|own| crate::location::is_within(&own, &group)))
}

/// Whether `candidate` holds the coordinates of a dimension of `array`.
fn is_coordinate_of(candidate: &ArrayInfo, array: &ArrayInfo) -> bool {
    candidate.is_coordinate
        && is_in_scope(candidate, array)
        && array.dimension_names.iter().any(|name| name.as_deref() == candidate.path.name())
}

/// Whether a CF attribute of `array` names `candidate`: as auxiliary coordinates, bounds or a grid mapping.
pub(crate) fn is_named_by(candidate: &ArrayInfo, array: &ArrayInfo) -> bool {
    let is_meant = |name: &str| places(name, array.path.parent()).any(|path| path == candidate.path);
    candidate.path != array.path && named_in(&array.attributes).any(is_meant)
}

/// Where an array may stand that something in `group` names: there or in groups above, the nearest first; or where a path says
/// (CF 2.7).
pub(crate) fn places(name: &str, group: Option<NodePath>) -> impl Iterator<Item = NodePath> {
    let path: Option<NodePath> = name.parse().ok();
    let from = if name.starts_with('/') { Some(NodePath::root()) } else { group };
    std::iter::successors(from, NodePath::parent).filter_map(move |group| {
        path.as_ref()?.components().iter().try_fold(group, |group, part| group.child(part).ok())
    })
}

/// The names in those attributes.
pub(crate) fn named_in(attributes: &Attributes) -> impl Iterator<Item = &str> {
    let texts = NAMING.iter().filter_map(|attribute| match attributes.get(attribute) {
        Some(AttributeValue::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    // A grid mapping may be followed by a colon and the coordinates that it is for.
    texts.flat_map(str::split_whitespace).map(|word| word.trim_end_matches(':'))
}

/// Whether a glob matches the node at `path`.
fn matches(pattern: &Pattern, path: &NodePath) -> bool {
    pattern.matches(&path.to_string()) || path.name().is_some_and(|name| pattern.matches(name))
}

/// Whether it matches the node or a group above it.
fn reaches(pattern: &Pattern, path: &NodePath) -> bool {
    let mut at = Some(path.clone());
    while let Some(node) = at {
        if matches(pattern, &node) {
            return true;
        }
        at = node.parent();
    }
    false
}

fn patterns<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Pattern>> {
    texts
        .iter()
        .map(|text| {
            let text = text.as_ref().trim_start_matches('/');
            Pattern::new(text).map_err(|error| Error::Argument {
                what: "glob",
                text: text.to_owned(),
                why: format!("{error}; use * for any text, ? for one character, [abc] for one of several"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::computed::info_of;
    use blockwise_core::{Array, DType};
    use blockwise_io::Format;

    #[test]
    fn what_cf_attributes_name_comes_along() {
        let info = |name: &str, dimension: &str, attributes: &[(&str, &str)]| {
            let array = Array::ones(&[2], DType::F32).unwrap().with_names(&[dimension]).unwrap();
            let mut info = info_of(name.parse().unwrap(), &array, Format::NetCdf4);
            info.is_coordinate = name == dimension;
            for (name, text) in attributes {
                info.attributes.set(*name, AttributeValue::Text((*text).to_owned()));
            }
            info
        };
        let tas = [("coordinates", "height station"), ("grid_mapping", "crs: x")];
        let all = [
            info("tas", "lat", &tas),
            info("pr", "lat", &[("coordinates", "other")]),
            info("lat", "lat", &[("bounds", "lat_bnds")]),
            info("lat_bnds", "lat", &[]),
            info("height", "n", &[]),
            info("station", "lat", &[]),
            info("crs", "n", &[]),
            info("other", "n", &[]),
        ];
        let all: Vec<&ArrayInfo> = all.iter().collect();
        let selection = Selection::new(&["tas"], &["station"]).unwrap();
        let taken: Vec<&str> = selection.arrays(&all).iter().filter_map(|array| array.path.name()).collect();
        assert_eq!(taken, ["tas", "lat", "lat_bnds", "height", "crs"]);
    }
}
