//! The axes of an image: what they are called, whether they are time, channels or space, and how large an element is.
//!
//! Invariant: axes are as OME-NGFF 0.5 wants them: at most one of time, then at most one of channels or of anything else, then 2 or 3
//! in space; names stand once. Called by [`super::PyramidJob`].

use super::PyramidOptions;
use crate::expression::Labelled;
use crate::show::{AxisKind, kind_of};
use blockwise_io::{AttributeValue, Attributes};

/// Names of axes that have none, the last ones of these.
const DEFAULT_NAMES: [&str; 5] = ["t", "c", "z", "y", "x"];

/// What an axis is, in the words of OME-NGFF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisType {
    /// Time.
    Time,
    /// Channels.
    Channel,
    /// Space.
    Space,
}

impl AxisType {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Channel => "channel",
            Self::Space => "space",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        [Self::Time, Self::Channel, Self::Space].into_iter().find(|kind| kind.name() == name)
    }
}

/// An axis of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageAxis {
    /// Its name, which is the arrays' dimension too.
    pub name: String,
    /// What it is; `None` for anything else.
    pub kind: Option<AxisType>,
    /// Unit of `scale`.
    pub unit: Option<String>,
    /// Physical size of an element of the full resolution.
    pub scale: f64,
    /// Physical position of the middle of its first element.
    pub translation: f64,
}

impl ImageAxis {
    /// An axis of this name, which says what it is, with elements of size 1.
    pub(super) fn new(name: String, kind: Option<AxisType>) -> Self {
        Self { name, kind, unit: None, scale: 1.0, translation: 0.0 }
    }

    /// Whether it is in space.
    #[must_use]
    pub fn is_space(&self) -> bool {
        self.kind == Some(AxisType::Space)
    }
}

/// The names as dimension names.
pub(super) fn names(axes: &[ImageAxis]) -> Vec<Option<String>> {
    axes.iter().map(|axis| Some(axis.name.clone())).collect()
}

/// The axes of the image of `source`: as options say, as the image says that it is `stored` in, as names suggest and `attributes` of
/// the stored array by OME's names; and which of the array's axes each of them is. Axes in another order than an image has are put
/// into it.
///
/// # Errors
/// If they are not those of an image; what is wrong.
pub(super) fn settle(
    source: &Labelled,
    stored: Option<&Vec<ImageAxis>>,
    attributes: &Attributes,
    options: &PyramidOptions,
) -> Result<(Vec<ImageAxis>, Vec<usize>), String> {
    let rank = source.array.rank();
    if !(2..=DEFAULT_NAMES.len()).contains(&rank) {
        return Err(format!(
            "it has {rank} axes; an image has 2 to 5, time, channels, z, y and x: slice or reduce it with `arrayctl eval`"
        ));
    }
    let mut axes = match (&options.axes, stored) {
        (Some(names), _) => sized(guessed(names, source), attributes),
        (None, Some(stored)) if stored.len() == rank => stored.clone(),
        _ => sized(guessed(&named(source)?, source), attributes),
    };
    if axes.len() != rank {
        return Err(format!("--axes names {} axes, but the array has {rank}", axes.len()));
    }
    let mut order: Vec<usize> = (0..rank).collect();
    // Of an axis of another kind nobody knows where it belongs.
    if axes.iter().all(|axis| axis.kind.is_some()) {
        order.sort_by_key(|axis| axes.get(*axis).map(place));
        axes.sort_by_key(place);
    }
    check(&axes)?;
    apply(&mut axes, options)?;
    Ok((axes, order))
}

/// Where in an image an axis belongs: time, then channels or anything else, then space.
const fn place(axis: &ImageAxis) -> usize {
    match axis.kind {
        Some(AxisType::Time) => 0,
        Some(AxisType::Channel) | None => 1,
        Some(AxisType::Space) => 2,
    }
}

/// The dimension names; the last letters of `tczyx` if there are none.
fn named(source: &Labelled) -> Result<Vec<String>, String> {
    let own = source.array.names();
    let default = DEFAULT_NAMES.iter().skip(DEFAULT_NAMES.len() - own.len());
    if own.iter().all(Option::is_none) {
        return Ok(default.map(|name| (*name).to_owned()).collect());
    }
    let named = own.iter().cloned().collect::<Option<Vec<String>>>();
    named.ok_or_else(|| {
        "only some of its dimensions have names; name all with --axes, as in --axes zyx".to_owned()
    })
}

fn guessed(names: &[String], source: &Labelled) -> Vec<ImageAxis> {
    let kind = |name: &String| {
        let coordinate = source.coordinates.iter().find(|own| own.name == *name);
        let attributes = coordinate.map(|own| &own.attributes);
        if matches!(kind_of(name, attributes), AxisKind::Latitude | AxisKind::Longitude) {
            return Some(AxisType::Space);
        }
        match name.to_lowercase().as_str() {
            "t" | "time" | "frame" | "frames" => Some(AxisType::Time),
            "c" | "ch" | "channel" | "channels" | "band" | "bands" | "wavelength" | "sample" => {
                Some(AxisType::Channel)
            }
            "z" | "y" | "x" | "depth" | "height" | "level" | "lev" | "row" | "column" | "plane" => {
                Some(AxisType::Space)
            }
            _ => None,
        }
    };
    let mut axes: Vec<ImageAxis> =
        names.iter().map(|name| ImageAxis::new(name.clone(), kind(name))).collect();
    // The last axes of an image are in space, whatever they are called: two at least.
    let spaces = axes.iter().filter(|axis| axis.is_space()).count();
    let unknown = axes.iter_mut().rev().take_while(|axis| axis.kind.is_none() || axis.is_space());
    for axis in unknown.filter(|axis| axis.kind.is_none()).take(2_usize.saturating_sub(spaces)) {
        axis.kind = Some(AxisType::Space);
    }
    axes
}

/// The axes with the sizes of elements that attributes tell by OME's names, and their units by UDUNITS' names, as OME-NGFF wants them.
fn sized(mut axes: Vec<ImageAxis>, attributes: &Attributes) -> Vec<ImageAxis> {
    for axis in &mut axes {
        let name = match axis.name.to_lowercase().as_str() {
            "t" | "time" => "TimeIncrement".to_owned(),
            letter @ ("x" | "y" | "z") => format!("PhysicalSize{}", letter.to_uppercase()),
            _ => continue,
        };
        let (Some(AttributeValue::Number(size)), Some(AttributeValue::Text(unit))) =
            (attributes.get(&name), attributes.get(&format!("{name}Unit")))
        else {
            continue;
        };
        if let Some(size) = size.to_f64().filter(|size| size.is_finite() && *size > 0.0) {
            (axis.scale, axis.unit) = (size, Some(unit_name(unit).to_owned()));
        }
    }
    axes
}

/// UDUNITS' name of a unit that is given by its symbol; what has no such is left as it is.
fn unit_name(symbol: &str) -> &str {
    match symbol {
        "km" => "kilometer",
        "m" => "meter",
        "cm" => "centimeter",
        "mm" => "millimeter",
        // The micro sign, and the Greek letter that looks like it.
        "\u{b5}m" | "\u{3bc}m" | "um" | "micron" => "micrometer",
        "nm" => "nanometer",
        "pm" => "picometer",
        "\u{c5}" | "\u{212b}" => "angstrom",
        "in" => "inch",
        "ft" => "foot",
        "d" => "day",
        "h" => "hour",
        "min" => "minute",
        "s" => "second",
        "ms" => "millisecond",
        "\u{b5}s" | "\u{3bc}s" | "us" => "microsecond",
        "ns" => "nanosecond",
        other => other,
    }
}

fn check(axes: &[ImageAxis]) -> Result<(), String> {
    let listed = || {
        let text = |axis: &ImageAxis| format!("{} ({})", axis.name, axis.kind.map_or("?", AxisType::name));
        axes.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    let advice = "order them with `arrayctl eval 'x.transpose(…)'`, or say what they are with --axes, as in --axes tczyx";
    if let Some((_, twice)) =
        axes.iter().enumerate().find(|(n, axis)| axes.iter().take(*n).any(|own| own.name == axis.name))
    {
        return Err(format!("two axes are called '{}'; give each a name of its own with --axes", twice.name));
    }
    let places: Vec<usize> = axes.iter().map(place).collect();
    let count = |place: usize| places.iter().filter(|own| **own == place).count();
    if !places.is_sorted() || count(0) > 1 || count(1) > 1 || !(2..=3).contains(&count(2)) {
        return Err(format!(
            "its axes are {}; an image has at most one of time, then at most one of channels, then 2 or 3 in space: {advice}",
            listed()
        ));
    }
    Ok(())
}

/// Sets what options say of scales and units.
fn apply(axes: &mut [ImageAxis], options: &PyramidOptions) -> Result<(), String> {
    let names: Vec<String> = axes.iter().map(|axis| axis.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_space: Vec<bool> = axes.iter().map(ImageAxis::is_space).collect();
    if let Some(scale) = &options.scale {
        for (axis, scale) in axes.iter_mut().zip(scale.resolve("--scale", &names, &is_space)?) {
            let Some(scale) = scale else { continue };
            if !scale.is_finite() || scale <= 0.0 {
                return Err(format!("--scale of '{}' is {scale}; a size is above 0", axis.name));
            }
            (axis.scale, axis.translation) = (scale, 0.0);
        }
    }
    if let Some(units) = &options.units {
        for (axis, unit) in axes.iter_mut().zip(units.resolve("--unit", &names, &is_space)?) {
            axis.unit = unit.or_else(|| axis.unit.take());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockwise_core::{Array, DType};

    fn settled(names: &[&str], options: &PyramidOptions) -> Result<Vec<ImageAxis>, String> {
        let shape = vec![4; names.len()];
        let array = Array::zeros(&shape, DType::U8).unwrap();
        let names = names.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect();
        settle(&Labelled::from(array.with_some_names(names).unwrap()), None, &Attributes::new(), options)
            .map(|(axes, _)| axes)
    }

    fn order(names: &[&str]) -> Vec<usize> {
        let array = Array::zeros(&vec![4; names.len()], DType::U8).unwrap();
        let array =
            array.with_some_names(names.iter().map(|name| Some((*name).to_owned())).collect()).unwrap();
        settle(&Labelled::from(array), None, &Attributes::new(), &PyramidOptions::default()).unwrap().1
    }

    fn kinds(names: &[&str]) -> String {
        let axes = settled(names, &PyramidOptions::default()).unwrap();
        let letter = |axis: &ImageAxis| axis.kind.map_or("?", |kind| &kind.name()[..1]);
        axes.iter().map(letter).collect()
    }

    #[test]
    fn names_say_what_axes_are() {
        assert_eq!(kinds(&["t", "c", "z", "y", "x"]), "tcsss");
        assert_eq!(kinds(&["time", "lat", "lon"]), "tss");
        assert_eq!(kinds(&["", "", ""]), "sss");
        assert_eq!(kinds(&["", "", "", ""]), "csss");
        assert_eq!(kinds(&["time", "north", "east"]), "tss");
        assert_eq!(kinds(&["kind", "north", "east"]), "?ss");
        assert_eq!(kinds(&["band", "y", "x"]), "css");
    }

    #[test]
    fn axes_are_put_into_the_order_of_an_image() {
        assert_eq!(
            (kinds(&["y", "x", "sample"]), order(&["y", "x", "sample"])),
            ("css".to_owned(), vec![2, 0, 1])
        );
        assert_eq!(
            (kinds(&["z", "t", "c", "y", "x"]), order(&["z", "t", "c", "y", "x"])),
            ("tcsss".to_owned(), vec![1, 2, 0, 3, 4])
        );
        assert_eq!(order(&["t", "z", "y", "x"]), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let plain = PyramidOptions::default();
        for (names, hint) in [
            (vec!["x"], "2 to 5"),
            (vec!["north", "east", "c", "kind"], "transpose"),
            (vec!["a", "b", "y", "x"], "at most one"),
            (vec!["", "y", "x"], "name all"),
            (vec!["t", "time", "y", "x"], "at most one"),
        ] {
            assert!(settled(&names, &plain).unwrap_err().contains(hint), "{names:?}");
        }
        let named = |axes: &str| PyramidOptions {
            axes: Some(axes.chars().map(String::from).collect()),
            ..PyramidOptions::default()
        };
        assert!(settled(&["", ""], &named("zyx")).unwrap_err().contains("names 3"));
        assert!(settled(&["", ""], &named("yy")).unwrap_err().contains("'y'"));
        assert_eq!(settled(&["a", "b"], &named("yx")).unwrap()[0].name, "y");
    }

    #[test]
    fn sizes_and_units() {
        let options = PyramidOptions {
            scale: Some("z=2,x=0.5".parse().unwrap()),
            units: Some("micrometer".parse().unwrap()),
            ..PyramidOptions::default()
        };
        let axes = settled(&["c", "z", "y", "x"], &options).unwrap();
        assert_eq!(axes.iter().map(|axis| axis.scale).collect::<Vec<_>>(), [1.0, 2.0, 1.0, 0.5]);
        assert_eq!((axes[0].unit.as_deref(), axes[3].unit.as_deref()), (None, Some("micrometer")));
        let wrong = PyramidOptions { scale: Some("0".parse().unwrap()), ..PyramidOptions::default() };
        assert!(settled(&["y", "x"], &wrong).unwrap_err().contains("above 0"));
    }
}
