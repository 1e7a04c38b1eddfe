//! What each array is when files are joined: one array that lies in all of them, or what the first file has, if all have the same.
//!
//! Invariants: parts that do not mean the same are never joined as if they did: other packing is undone, other times are counted
//! anew, and what cannot be brought together is an array of no one type, which every use refuses by name. Called by [`super`].

use super::axis::{Joint, counts_as, is_counted_alike, summary_as, time_units};
use super::files::Files;
use super::source::{Form, PartOf, Way};
use super::spread::{elements, spread};
use super::summary::whole;
use super::times::recounted;
use super::trees::Trees;
use crate::cf;
use crate::error::Result;
use crate::select::is_named_by;
use blockwise_core::Source;
use blockwise_core::adapt::{Unpacking, cast_scalar};
use blockwise_io::{ArrayInfo, AttributeValue, ElementType};
use blockwise_kernels::DType;
use blockwise_kernels::promote::promote;
use std::sync::Arc;

/// One array of joined files.
pub(super) struct Entry {
    /// What it is.
    pub(super) info: ArrayInfo,
    /// Where its elements are.
    pub(super) place: Place,
}

/// Where elements are.
pub(super) enum Place {
    /// In the first file.
    First,
    /// In all of these.
    Parts {
        /// How they stand to each other.
        way: Way,
        /// In their order.
        parts: Vec<PartOf>,
    },
    /// In memory: few, and counted anew or each said many times.
    Memory(Arc<dyn Source>),
    /// Nowhere: the files do not go together in this array.
    Nowhere,
}

/// The arrays of all files as one.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn entries(trees: &Trees, files: &Files, joint: &Joint, order: &[usize]) -> Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(trees.arrays.len());
    for place in 0..trees.arrays.len() {
        let joining = Joining { trees, files, order, place };
        let Some(first) = trees.arrays.get(place) else { continue };
        let entry = match joining.entry(first, joint)? {
            Ok(entry) => entry,
            Err(why) => nowhere(first, &why),
        };
        entries.push(entry);
    }
    let strangers = trees.strangers.iter();
    entries.extend(strangers.map(|(info, _)| nowhere(info, &format!("{} has no such array", files.name(0)))));
    Ok(entries)
}

/// An array of which the files have no one form.
fn nowhere(info: &ArrayInfo, why: &str) -> Entry {
    let info = ArrayInfo { element_type: ElementType::Other(format!("mixed ({why})")), ..info.clone() };
    Entry { info, place: Place::Nowhere }
}

/// Whether an array is one number or time.
fn is_single(info: &ArrayInfo) -> bool {
    info.shape.is_empty()
        && matches!(info.element_type, ElementType::Number(_) | ElementType::DateTime { .. })
}

/// One array that is being joined.
#[derive(Clone, Copy)]
struct Joining<'a> {
    trees: &'a Trees,
    files: &'a Files,
    order: &'a [usize],
    place: usize,
}

/// How a part is unpacked, if it is, and the dtype of its values.
type Unpacked = (Option<Unpacking>, DType);

/// An entry, or why there is none.
type Joined<T> = Result<T, String>;

impl Joining<'_> {
    fn entry(self, first: &ArrayInfo, joint: &Joint) -> Result<Joined<Entry>> {
        if let Some(lacking) = self.order.iter().find(|number| self.info(**number).is_none()) {
            return Ok(Err(format!("{} has no such array", self.files.name(*lacking))));
        }
        let turned = |number: &&usize| {
            self.info(**number).is_some_and(|own| own.dimension_names != first.dimension_names)
        };
        if let Some(other) = self.order.iter().find(turned) {
            return Ok(Err(format!(
                "its axes are others in {} than in {}",
                self.files.name(*other),
                self.files.name(0)
            )));
        }
        let names = self.trees.dimensions(first);
        let way = match joint {
            Joint::Along(dimension) => {
                let mut axes = names.iter().enumerate().filter(|(_, name)| name.as_ref() == Some(dimension));
                match (axes.next(), axes.next()) {
                    (Some((axis, _)), None) => Way::Along(axis),
                    (None, _) => {
                        let once = self.once(first)?;
                        return if once.is_err() && is_single(first) {
                            self.series(first, dimension)
                        } else {
                            Ok(once)
                        };
                    }
                    _ => return Ok(Err(format!("two axes are '{dimension}'"))),
                }
            }
            Joint::Stacked(_) if first.is_coordinate => return self.once(first),
            Joint::Stacked(_) => {
                let belongs = self.trees.arrays.len() > 1
                    && (first.shape.is_empty()
                        || self.trees.arrays.iter().any(|other| is_named_by(first, other)));
                if belongs && let Ok(once) = self.once(first)? {
                    return Ok(Ok(once));
                }
                Way::Stacked
            }
        };
        if let Err(why) = self.check_shapes(first, way) {
            return Ok(Err(why));
        }
        let info = self.joined_info(first, way, joint);
        self.brought_together(first, way, info)
    }

    fn info(&self, number: usize) -> Option<&ArrayInfo> {
        self.trees.info(number, self.place)
    }

    /// The array of the first file, if all hold the same.
    fn once(self, first: &ArrayInfo) -> Result<Joined<Entry>> {
        let mut known = None;
        for number in self.order.iter().copied() {
            let own = self.info(number).filter(|own| {
                let is_number = |info: &ArrayInfo| matches!(info.element_type, ElementType::Number(_));
                let is_of_one_kind =
                    own.element_type == first.element_type || is_number(own) && is_number(first);
                is_of_one_kind && counts_as(first, own)
            });
            let own = own.filter(|_| self.trees.shape(number, self.place) == Some(&first.shape));
            let Some(own) = own else {
                return Ok(Err(format!("another type, shape or unit in {}", self.files.name(number))));
            };
            let found = summary_as(self.files, number, first, own)?;
            let Some(found) = found else {
                // Too much to read for a look at the tree.
                let (path, name) = (&first.path, self.files.name(0));
                tracing::warn!(
                    "'{path}' is taken from {name}; whether the other files hold the same was not looked at"
                );
                break;
            };
            if known.get_or_insert_with(|| found.content.clone()) != &found.content {
                return Ok(Err(format!("{} holds other values", self.files.name(number))));
            }
        }
        Ok(Ok(Entry { info: first.clone(), place: Place::First }))
    }

    /// A scalar that differs from file to file, as a series along `dimension`.
    fn series(self, first: &ArrayInfo, dimension: &str) -> Result<Joined<Entry>> {
        let way = Way::Stacked;
        if let Err(why) = self.check_shapes(first, way) {
            return Ok(Err(why));
        }
        let name = dimension.rsplit('/').next().unwrap_or(dimension).to_owned();
        let info = self.joined_info(first, way, &Joint::Stacked(name));
        let Entry { mut info, place } = match self.brought_together(first, way, info)? {
            Ok(entry) => entry,
            Err(why) => return Ok(Err(why)),
        };
        let other = || format!("elements of type {} that differ from file to file", info.element_type);
        let Some(dtype) = info.element_type.stream_dtype() else { return Ok(Err(other())) };
        let elements = match &place {
            Place::Parts { parts, .. } => elements(self.files, parts, &first.path, dtype)?,
            Place::Memory(source) => whole(&**source)?.unwrap_or_default(),
            Place::First | Place::Nowhere => return Ok(Err(other())),
        };
        let lengths = self.lengths(dimension);
        info.shape = vec![lengths.iter().fold(0, |sum, length| sum.saturating_add(*length))];
        info.chunk_shape = None;
        info.codec = None;
        let source = spread(self.files.name(0), dtype, &elements, &lengths)?;
        Ok(source.map(|source| Entry { info, place: Place::Memory(source) }))
    }

    /// How long the dimension that files are joined along is in each.
    fn lengths(&self, dimension: &str) -> Vec<u64> {
        let axis = |(place, info): (usize, &ArrayInfo)| {
            let names = self.trees.dimensions(info);
            Some((place, names.iter().position(|name| name.as_deref() == Some(dimension))?))
        };
        let Some((place, axis)) = self.trees.arrays.iter().enumerate().find_map(axis) else {
            return Vec::new();
        };
        let length = |number: &usize| self.trees.shape(*number, place)?.get(axis).copied();
        self.order.iter().map(|number| length(number).unwrap_or(0)).collect()
    }

    fn check_shapes(&self, first: &ArrayInfo, way: Way) -> Joined<()> {
        for number in self.order.iter().copied() {
            let shape = self.trees.shape(number, self.place).unwrap_or_default();
            let fits = |(axis, (own, known))| way == Way::Along(axis) || own == known;
            if shape.len() != first.shape.len() || !shape.iter().zip(&first.shape).enumerate().all(fits) {
                let (name, known) = (self.files.name(number), &first.shape);
                return Err(format!("of shape {known:?} in {}, {shape:?} in {name}", self.files.name(0)));
            }
        }
        Ok(())
    }

    /// The description of the whole, as if parts needed nothing.
    fn joined_info(&self, first: &ArrayInfo, way: Way, joint: &Joint) -> ArrayInfo {
        let mut info = first.clone();
        match (way, joint) {
            (Way::Along(axis), _) => {
                let lengths = self.order.iter().filter_map(|number| {
                    self.trees.shape(*number, self.place).and_then(|shape| shape.get(axis)).copied()
                });
                let extent = lengths.fold(0_u64, u64::saturating_add);
                info.shape.iter_mut().skip(axis).take(1).for_each(|length| *length = extent);
            }
            (Way::Stacked, Joint::Stacked(name)) => {
                info.dimension_names.resize(first.shape.len(), None);
                info.unlimited.resize(first.shape.len(), false);
                info.dimension_names.insert(0, Some(name.clone()));
                info.shape.insert(0, self.order.len() as u64);
                info.unlimited.insert(0, false);
                for lengths in [&mut info.chunk_shape, &mut info.shard_shape].into_iter().flatten() {
                    lengths.insert(0, 1);
                }
                info.is_coordinate = false;
            }
            (Way::Stacked, Joint::Along(_)) => {}
        }
        info
    }

    /// The parts, so that their elements mean the same.
    fn brought_together(self, first: &ArrayInfo, way: Way, mut info: ArrayInfo) -> Result<Joined<Entry>> {
        if self.order.iter().all(|number| self.is_as_first(*number)) && !self.has_other_times(first) {
            let parts = self.order.iter().map(|file| PartOf { file: *file, form: Form::AsStored }).collect();
            return Ok(Ok(Entry { info, place: Place::Parts { way, parts } }));
        }
        if let Some(counted) = self.counts_times(first) {
            if !matches!(way, Way::Along(0) | Way::Stacked) {
                return Ok(Err("times are counted otherwise, and not along the first axis".to_owned()));
            }
            let units: Joined<Vec<_>> = counted.into_iter().collect();
            return match units {
                Ok(units) => recounted(self.files, first, self.order, &units, &mut info)
                    .map(|found| found.map(|source| Entry { info, place: Place::Memory(source) })),
                Err(why) => Ok(Err(why)),
            };
        }
        let rules = match self.rules(first)? {
            Ok(rules) => rules,
            Err(why) => return Ok(Err(why)),
        };
        let dtype = rules.iter().map(|(_, dtype)| *dtype).reduce(promote).unwrap_or(DType::F64);
        let rule = rules.first().and_then(|(rule, _)| rule.as_ref());
        if let Some(rule) = rule {
            info.attributes =
                cf::unpacked_attributes(&ArrayInfo { fill_value: None, ..first.clone() }, rule)?;
        }
        let unpacked = |fill| rule.map_or(Ok(fill), |rule| rule.value_of(&fill));
        let fill = first.fill_value.map(|fill| unpacked(fill).and_then(|fill| cast_scalar(&fill, dtype)));
        info.fill_value = fill.transpose()?;
        info.element_type = ElementType::Number(dtype);
        let forms = rules.into_iter().skip(1).map(|(rule, _)| Form::Values(rule));
        let parts = self.order.iter().zip(forms).map(|(file, form)| PartOf { file: *file, form }).collect();
        Ok(Ok(Entry { info, place: Place::Parts { way, parts } }))
    }

    fn is_as_first(&self, number: usize) -> bool {
        let found = self.trees.files.get(number).and_then(|found| found.get(self.place));
        found.and_then(Option::as_ref).is_some_and(|found| found.otherwise.is_none())
    }

    /// The array whose bounds this one holds: it says what they count.
    fn bounded(&self, first: &ArrayInfo) -> Option<usize> {
        let name = first.path.name()?;
        let names_it = |info: &ArrayInfo, attribute: &str| {
            matches!(info.attributes.get(attribute), Some(AttributeValue::Text(text)) if text == name)
                && info.path.parent() == first.path.parent()
        };
        self.trees
            .arrays
            .iter()
            .position(|info| ["bounds", "climatology"].iter().any(|attribute| names_it(info, attribute)))
    }

    /// The description that says what the file `number` counts here: its own, or that of the array whose bounds these are.
    fn counting(&self, first: &ArrayInfo, number: usize) -> Option<&ArrayInfo> {
        let own = self.info(number)?;
        match self.bounded(first) {
            Some(place) if own.attributes.get("units").is_none() => self.trees.info(number, place),
            _ => Some(own),
        }
    }

    /// Whether these are bounds that have no units of their own, and those of what they bound differ.
    fn has_other_times(&self, first: &ArrayInfo) -> bool {
        let text = |number: usize, name: &str| {
            self.counting(first, number).and_then(|info| info.attributes.get(name)).cloned()
        };
        ["units", "calendar"]
            .iter()
            .any(|name| self.order.iter().any(|number| text(*number, name) != text(0, name)))
    }

    /// The units of time of every file, if those differ and the first counts time.
    fn counts_times(&self, first: &ArrayInfo) -> Option<Vec<Joined<cf::time::TimeUnits>>> {
        if !self.has_other_times(first) {
            return None;
        }
        let known = time_units(self.counting(first, 0)?)?;
        let of_file = |number: &usize| {
            let units = self.counting(first, *number).and_then(time_units);
            let units = units.filter(|units| units.calendar() == known.calendar());
            units
                .ok_or_else(|| format!("{} counts no time, or in another calendar", self.files.name(*number)))
        };
        Some(std::iter::once(&0).chain(self.order).map(of_file).collect())
    }

    /// How the first file and each part are unpacked, with the dtype of their values, if that makes them of one kind.
    fn rules(&self, first: &ArrayInfo) -> Result<Joined<Vec<Unpacked>>> {
        let mut rules = Vec::with_capacity(self.order.len());
        for number in std::iter::once(0).chain(self.order.iter().copied()) {
            let Some(info) = self.info(number) else { continue };
            let name = |number| self.files.name(number);
            let counted = self.counting(first, 0).zip(self.counting(first, number));
            if counted.is_some_and(|(known, own)| !is_counted_alike(known, own)) {
                return Ok(Err(format!("other units in {} than in {}", name(number), name(0))));
            }
            let ElementType::Number(dtype) = info.element_type else {
                let (known, own) = (&first.element_type, &info.element_type);
                if own == known && self.is_as_first(number) {
                    continue; // it is another that differs
                }
                return Ok(Err(format!(
                    "{known} in {}, {own} in {}, with other attributes",
                    name(0),
                    name(number)
                )));
            };
            let rule = cf::unpacking_of(info).map_err(|error| error.in_array(&name(number)))?;
            let result = rule.as_ref().map_or(dtype, |rule| rule.result);
            let known = match first.element_type {
                ElementType::Number(known) if (known.kind() == 'b') == (dtype.kind() == 'b') => known,
                _ => {
                    return Ok(Err(format!(
                        "{} in {}, {dtype} in {}",
                        first.element_type,
                        name(0),
                        name(number)
                    )));
                }
            };
            if (known.kind() == 'c') != (dtype.kind() == 'c') {
                return Ok(Err(format!("{known} in {}, {dtype} in {}", name(0), name(number))));
            }
            rules.push((rule, result));
        }
        // Of what are no numbers nothing was noted.
        let are_numbers = rules.len() == self.order.len() + 1;
        Ok(if are_numbers { Ok(rules) } else { Err("the files say otherwise what it holds".to_owned()) })
    }
}
