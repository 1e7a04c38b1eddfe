//! How large the pixels of a stack are, and what its channels are called: attributes by OME's names.
//!
//! OME-XML, ImageJ, Aperio's slides and our own descriptions say it, else the resolution of a page where that is one of centimetres;
//! inches are what programs write that know no size. Invariants: sizes are finite and above 0; none is given without its unit.
//! Called by [`super::open_file`]; what is written comes from [`super::writer`].

use super::ome::Image;
use crate::attribute::{AttributeValue, Attributes};
use blockwise_kernels::Scalar;

/// The attributes' names of sizes along the axes.
pub(super) const NAMES: [(char, &str); 4] =
    [('x', "PhysicalSizeX"), ('y', "PhysicalSizeY"), ('z', "PhysicalSizeZ"), ('t', "TimeIncrement")];

/// Names of channels.
pub(super) const CHANNEL_NAMES: &str = "ChannelNames";

/// Pixels to a unit, as a page says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resolution {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Whether the unit is the centimetre.
    pub(super) is_per_centimetre: bool,
}

/// An axis, the size of an element along it, and the unit's symbol.
type Size = (char, f64, String);

/// What the first page of a stack says, and the image of OME that its pages are.
pub(super) fn of(
    description: Option<&str>,
    image: Option<&Image>,
    resolution: Option<Resolution>,
) -> Attributes {
    let text = description.unwrap_or("");
    let said = image.map(|image| image.sizes.clone());
    let said = said.or_else(|| image_j(text, resolution)).or_else(|| aperio(text)).or_else(|| own(text));
    let sizes = said.unwrap_or_else(|| plain(resolution));
    let mut attributes = Attributes::new();
    for (letter, name) in NAMES {
        let known = |(own, size, unit): &&Size| {
            *own == letter
                && size.is_finite()
                && *size > 0.0
                && !["", "pixel", "reference frame"].contains(&unit.as_str())
        };
        if let Some((_, size, unit)) = sizes.iter().find(known) {
            attributes.set(name, AttributeValue::Number(Scalar::from(*size)));
            attributes.set(format!("{name}Unit"), AttributeValue::Text(unit.clone()));
        }
    }
    let channels = image.map_or_else(|| own_channels(text), |image| image.channel_names.clone());
    if !channels.is_empty() {
        attributes.set(CHANNEL_NAMES, AttributeValue::Texts(channels));
    }
    attributes
}

/// The size that the attribute `name` tells, and its unit.
pub(super) fn get<'a>(attributes: &'a Attributes, name: &str) -> Option<(f64, &'a str)> {
    let (AttributeValue::Number(size), AttributeValue::Text(unit)) =
        (attributes.get(name)?, attributes.get(&format!("{name}Unit"))?)
    else {
        return None;
    };
    let size = size.to_f64().filter(|size| size.is_finite() && *size > 0.0)?;
    Some((size, unit))
}

/// ImageJ: `unit=micron`, `spacing=2.0` and `finterval=0.5`, and the resolution in that unit.
fn image_j(text: &str, resolution: Option<Resolution>) -> Option<Vec<Size>> {
    if !text.starts_with("ImageJ=") {
        return None;
    }
    let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
    let symbol = |unit: &str| match unit.trim() {
        // ImageJ writes what is no ASCII as Java does.
        "micron" | "microns" | "um" | "micrometer" | "\\u00B5m" | "\\u00b5m" | "μm" => "µm".to_owned(),
        "inch" => "in".to_owned(),
        "sec" | "seconds" | "second" => "s".to_owned(),
        "pixels" => "pixel".to_owned(),
        other => other.to_owned(),
    };
    let unit = symbol(value("unit").unwrap_or(""));
    let mut sizes = Vec::new();
    if let Some(resolution) = resolution {
        sizes.extend([('x', 1.0 / resolution.x, unit.clone()), ('y', 1.0 / resolution.y, unit.clone())]);
    }
    let size = |name: &str| value(name)?.trim().parse::<f64>().ok();
    sizes.extend(size("spacing").map(|size| ('z', size.abs(), unit)));
    sizes.extend(size("finterval").map(|size| ('t', size, symbol(value("tunit").unwrap_or("s")))));
    Some(sizes)
}

/// Aperio's slides: `… |MPP = 0.2527|…`, micrometres to a pixel.
fn aperio(text: &str) -> Option<Vec<Size>> {
    let fields = text.strip_prefix("Aperio")?.split('|');
    let size = fields.filter_map(|field| field.split_once('=')).find(|(name, _)| name.trim() == "MPP")?.1;
    let size: f64 = size.trim().parse().ok()?;
    Some(['x', 'y'].map(|letter| (letter, size, "µm".to_owned())).to_vec())
}

/// What [`super::writer`] and tifffile write: names of OME among the fields of JSON.
fn own(text: &str) -> Option<Vec<Size>> {
    let json = shaped(text)?;
    let size = |(letter, name): (char, &str)| {
        let unit = json.get(format!("{name}Unit"))?.as_str()?;
        Some((letter, json.get(name)?.as_f64()?, unit.to_owned()))
    };
    let sizes: Vec<Size> = NAMES.into_iter().filter_map(size).collect();
    (!sizes.is_empty()).then_some(sizes)
}

fn own_channels(text: &str) -> Vec<String> {
    let names = || {
        let json = shaped(text)?;
        let names = json.get(CHANNEL_NAMES)?.as_array()?.iter();
        names.map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
    };
    names().unwrap_or_default()
}

/// A description that is JSON with the shape of the array.
pub(super) fn shaped(text: &str) -> Option<serde_json::Value> {
    text.starts_with("{\"shape\"").then(|| serde_json::from_str(text).ok()).flatten()
}

/// A resolution of pixels to a centimetre, in micrometres.
fn plain(resolution: Option<Resolution>) -> Vec<Size> {
    let Some(Resolution { x, y, is_per_centimetre: true }) = resolution else { return Vec::new() };
    [('x', x), ('y', y)].map(|(letter, pixels)| (letter, 1e4 / pixels, "µm".to_owned())).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(text: &str, resolution: Option<Resolution>) -> Vec<(String, f64, String)> {
        let attributes = of(Some(text), None, resolution);
        let number = |name: &str| match attributes.get(name) {
            Some(AttributeValue::Number(number)) => number.to_f64(),
            _ => None,
        };
        let unit = |name: &str| match attributes.get(&format!("{name}Unit")) {
            Some(AttributeValue::Text(unit)) => unit.clone(),
            _ => String::new(),
        };
        NAMES.iter().filter_map(|(_, name)| Some(((*name).to_owned(), number(name)?, unit(name)))).collect()
    }

    fn size(name: &str, size: f64, unit: &str) -> (String, f64, String) {
        (name.to_owned(), size, unit.to_owned())
    }

    #[test]
    fn each_program_says_it_in_its_way() {
        let resolution = |is_per_centimetre| Some(Resolution { x: 4.0, y: 2.0, is_per_centimetre });
        let image_j =
            "ImageJ=1.53t\nimages=6\nslices=6\nunit=\\u00B5m\nspacing=-2.5\nfinterval=0.5\ntunit=sec\n";
        let expected = [
            size("PhysicalSizeX", 0.25, "µm"),
            size("PhysicalSizeY", 0.5, "µm"),
            size("PhysicalSizeZ", 2.5, "µm"),
            size("TimeIncrement", 0.5, "s"),
        ];
        assert_eq!(sizes(image_j, resolution(false)), expected);
        let aperio =
            "Aperio Image Library v11.2.1\r\n46000x32914 -> 1024x732|AppMag = 20|MPP = 0.4990|Left = 25";
        let expected = [size("PhysicalSizeX", 0.499, "µm"), size("PhysicalSizeY", 0.499, "µm")];
        assert_eq!(sizes(aperio, None), expected);
        let own = r#"{"shape": [4, 5], "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 3}"#;
        assert_eq!(sizes(own, None), [size("PhysicalSizeX", 0.5, "nm")]);
        let expected = [size("PhysicalSizeX", 2500.0, "µm"), size("PhysicalSizeY", 5000.0, "µm")];
        assert_eq!(sizes("", resolution(true)), expected);
    }

    #[test]
    fn what_is_no_size_is_left_out() {
        let resolution = |x| Some(Resolution { x, y: 300.0, is_per_centimetre: false });
        assert_eq!(sizes("", resolution(300.0)), []); // inches
        assert_eq!(sizes("ImageJ=1\nimages=2\nunit=pixel\nspacing=1.0\n", resolution(1.0)), []);
        assert_eq!(sizes("ImageJ=1\nimages=2\nspacing=1.0\n", resolution(1.0)), []);
        assert_eq!(sizes("ImageJ=1\nunit=nm\n", resolution(0.0)).len(), 1);
        assert_eq!(sizes("Aperio|MPP = -1", None), []);
        assert_eq!(sizes("{\"shape\": 3", None), []);
    }
}
