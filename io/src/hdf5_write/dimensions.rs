//! NetCDF's dimensions: who declares which, and which array holds the coordinates of which.
//!
//! Invariants: a dimension belongs to a group and is seen by all groups below; within a group its name is unique and
//! has one length; its position in the table is the number by which the file knows it. Called by the writer.

use crate::container::NodePath;

/// A dimension.
#[derive(Clone, Debug)]
pub(super) struct Dimension {
    /// The group that declares it.
    pub(super) group: NodePath,
    /// Its name.
    pub(super) name: String,
    /// Its length in elements.
    pub(super) length: u64,
    /// Whether it may grow.
    pub(super) unlimited: bool,
    /// The array of its coordinates, by position among the arrays.
    pub(super) variable: Option<usize>,
}

/// The dimensions of a file.
#[derive(Debug, Default)]
pub(super) struct Dimensions {
    list: Vec<Dimension>,
}

impl Dimensions {
    /// All of them, by number.
    pub(super) fn list(&self) -> &[Dimension] {
        &self.list
    }

    /// The dimension of that number, to change.
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Dimension> {
        self.list.get_mut(number)
    }

    /// The dimension `name` that `group` itself declares.
    pub(super) fn declared(&self, group: &NodePath, name: &str) -> Option<usize> {
        self.list.iter().position(|dimension| dimension.name == name && dimension.group == *group)
    }

    /// Declares a dimension in `group`, or finds it there; the refusal says how it contradicts the one that is there.
    pub(super) fn declare(
        &mut self,
        group: &NodePath,
        name: &str,
        length: u64,
        unlimited: bool,
    ) -> Result<usize, String> {
        if group.child(name).is_err() {
            return Err(format!(
                "{name:?} is no name for a NetCDF dimension; rename it, or write .h5 or .zarr"
            ));
        }
        let Some(number) = self.declared(group, name) else {
            let (group, name) = (group.clone(), name.to_owned());
            self.list.push(Dimension { group, name, length, unlimited, variable: None });
            return Ok(self.list.len() - 1);
        };
        match self.list.get_mut(number) {
            Some(dimension) if dimension.length == length => {
                dimension.unlimited |= unlimited;
                Ok(number)
            }
            there => Err(format!(
                "dimension {name} has {length} elements here but {} elsewhere in the group, and NetCDF allows one \
                 length; write .h5 or .zarr, or leave one of the arrays out with --exclude",
                there.map_or(0, |dimension| dimension.length)
            )),
        }
    }

    /// The dimension `name` of `length` as an array in `group` sees it: that of the nearest group upwards if it has
    /// this length, else declared in `group`.
    pub(super) fn resolve(
        &mut self,
        group: &NodePath,
        name: &str,
        length: u64,
        unlimited: bool,
    ) -> Result<usize, String> {
        let mut at = Some(group.clone());
        while let Some(here) = at {
            if let Some(number) = self.declared(&here, name) {
                if here == *group || self.list.get(number).is_some_and(|dimension| dimension.length == length)
                {
                    return self.declare(&here, name, length, unlimited);
                }
                break;
            }
            at = here.parent();
        }
        self.declare(group, name, length, unlimited)
    }

    /// A dimension of `length` for an axis without a name, other than those in `used`; named as netCDF's library
    /// does when it meets such axes.
    pub(super) fn nameless(&mut self, length: u64, unlimited: bool, used: &[usize]) -> Result<usize, String> {
        let prefix = "phony_dim_";
        let found = self.list.iter().enumerate().position(|(number, dimension)| {
            dimension.group.is_root()
                && dimension.name.starts_with(prefix)
                && dimension.length == length
                && dimension.unlimited == unlimited
                && !used.contains(&number)
        });
        if let Some(number) = found {
            return Ok(number);
        }
        let free =
            (0..).map(|k| format!("{prefix}{k}")).find(|name| self.list.iter().all(|d| d.name != *name));
        self.declare(&NodePath::root(), &free.unwrap_or_default(), length, unlimited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_found_upwards_and_shadowed() {
        let root = NodePath::root();
        let (a, b) = (root.child("a").unwrap(), root.child("a").unwrap().child("b").unwrap());
        let mut dimensions = Dimensions::default();
        let x = dimensions.declare(&root, "x", 10, false).unwrap();
        assert_eq!(dimensions.resolve(&b, "x", 10, true), Ok(x));
        assert!(dimensions.list()[x].unlimited);
        let shadow = dimensions.resolve(&a, "x", 5, false).unwrap();
        assert_eq!(dimensions.list()[shadow].group, a);
        assert_eq!(dimensions.resolve(&b, "x", 5, false), Ok(shadow));
        assert!(dimensions.resolve(&a, "x", 7, false).unwrap_err().contains("dimension x has 7"));
        assert!(dimensions.resolve(&a, "x/y", 7, false).unwrap_err().contains("no name"));
    }

    #[test]
    fn nameless_axes_of_one_array_get_dimensions_of_their_own() {
        let mut dimensions = Dimensions::default();
        let first = dimensions.nameless(3, false, &[]).unwrap();
        let second = dimensions.nameless(3, false, &[first]).unwrap();
        assert_ne!(first, second);
        assert_eq!(dimensions.nameless(3, false, &[]), Ok(first));
        assert_eq!(dimensions.list()[second].name, "phony_dim_1");
    }
}
