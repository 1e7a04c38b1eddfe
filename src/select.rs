//! `--include` and `--exclude`: which nodes of a container take part.
//!
//! Invariants: a glob is held against the whole path of a node and against its last component; excluding a group
//! excludes what is below it; coordinates of an included array come along unless excluded. Called by
//! [`crate::convert`] and [`crate::verify`].

use crate::error::{Error, Result};
use blockwise_io::{ArrayInfo, GroupInfo, NodePath};
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

    /// Whether the node at `path` is chosen by name.
    #[must_use]
    pub fn takes(&self, path: &NodePath) -> bool {
        (self.include.is_empty() || matches(&self.include, path)) && !self.leaves_out(path)
    }

    /// Whether the node or a group above it is excluded.
    fn leaves_out(&self, path: &NodePath) -> bool {
        let mut at = Some(path.clone());
        while let Some(node) = at {
            if matches(&self.exclude, &node) {
                return true;
            }
            at = node.parent();
        }
        false
    }

    /// The arrays that are chosen, in their order, with the coordinates of those that an include named.
    #[must_use]
    pub fn arrays<'a>(&self, arrays: &[&'a ArrayInfo]) -> Vec<&'a ArrayInfo> {
        let named: Vec<&ArrayInfo> = arrays.iter().copied().filter(|array| self.takes(&array.path)).collect();
        let is_coordinate_of = |candidate: &ArrayInfo, array: &ArrayInfo| {
            let in_scope = candidate.path.parent().is_some_and(|group| {
                array.path.parent().is_some_and(|own| crate::location::is_within(&own, &group))
            });
            let is_axis =
                || array.dimension_names.iter().any(|name| name.as_deref() == candidate.path.name());
            in_scope && is_axis()
        };
        let wanted = |candidate: &&ArrayInfo| {
            self.takes(&candidate.path)
                || candidate.is_coordinate
                    && !self.leaves_out(&candidate.path)
                    && named.iter().any(|array| is_coordinate_of(candidate, array))
        };
        arrays.iter().copied().filter(wanted).collect()
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

fn matches(patterns: &[Pattern], path: &NodePath) -> bool {
    let whole = path.to_string();
    patterns
        .iter()
        .any(|pattern| pattern.matches(&whole) || path.name().is_some_and(|name| pattern.matches(name)))
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
