//! The metadata of OME-Zarr images: written as OME-NGFF 0.5 has it, read in 0.4 too.
//!
//! Invariants: what is written is valid by the JSON schema of OME-NGFF 0.5; what is read is believed only where it fits the array,
//! and anything else is passed over. Called by [`super::PyramidJob`].

use super::levels::Level;
use super::{AxisType, ImageAxis};
use blockwise_io::{AttributeValue, Attributes, GroupInfo, NodePath};
use blockwise_kernels::downsample::Downsampling;
use serde_json::{Map, Value, json};

/// The root group of an image with these levels; `display` says how its channels are shown.
pub(super) fn group(
    name: &str,
    axes: &[ImageAxis],
    levels: &[Level],
    method: Downsampling,
    display: Option<&Value>,
) -> GroupInfo {
    let axis = |axis: &ImageAxis| {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(axis.name));
        if let Some(kind) = axis.kind {
            fields.insert("type".to_owned(), json!(kind.name()));
        }
        if let Some(unit) = &axis.unit {
            fields.insert("unit".to_owned(), json!(unit));
        }
        Value::Object(fields)
    };
    let dataset = |level: &Level| {
        let mut transformations = vec![json!({ "type": "scale", "scale": level.scale(axes) })];
        // Elements stand in the middle of their boxes, but what was picked stays where it was.
        let middle =
            |factor: u64| if method == Downsampling::Nearest { 0.0 } else { (factor as f64 - 1.0) / 2.0 };
        let place = |(axis, factor): (&ImageAxis, &u64)| axis.translation + axis.scale * middle(*factor);
        let translation: Vec<f64> = axes.iter().zip(&level.factors).map(place).collect();
        if translation.iter().any(|place| *place != 0.0) {
            transformations.push(json!({ "type": "translation", "translation": translation }));
        }
        json!({ "path": level.spec.path.to_string(), "coordinateTransformations": transformations })
    };
    let image = json!({
        "name": name,
        "axes": axes.iter().map(axis).collect::<Vec<_>>(),
        "datasets": levels.iter().map(dataset).collect::<Vec<_>>(),
        "type": method.name(),
        "metadata": {
            "description": description(method),
            "method": "blockwise",
            "version": env!("CARGO_PKG_VERSION"),
        },
    });
    let mut ome = json!({ "version": "0.5", "multiscales": [image] });
    if let Some(display) = display {
        ome["omero"] = display.clone();
    }
    let mut attributes = Attributes::new();
    attributes.set("ome", AttributeValue::Json(ome));
    GroupInfo { path: NodePath::root(), attributes, dimensions: Vec::new() }
}

/// How a level is made of the one before, for people.
fn description(method: Downsampling) -> &'static str {
    match method {
        Downsampling::Mean => {
            "Each level is made of the one before: an element is the mean of its box, of integers rounded to the nearest, halves to even."
        }
        Downsampling::Nearest => "Each level is made of the one before: an element is the first of its box.",
        Downsampling::Min => "Each level is made of the one before: an element is the smallest of its box.",
        Downsampling::Max => "Each level is made of the one before: an element is the largest of its box.",
        Downsampling::Mode => {
            "Each level is made of the one before: an element is the most frequent of its box, the smallest of several."
        }
    }
}

/// What the image that the array at `path` is a level of says of its axes; `None` if there is no such image.
pub(super) fn read<'a>(
    groups: impl DoubleEndedIterator<Item = &'a GroupInfo>,
    path: &NodePath,
) -> Option<Vec<ImageAxis>> {
    image_of(groups, path).map(|(_, axes)| axes)
}

/// The group of that image, and its axes.
fn image_of<'a>(
    groups: impl DoubleEndedIterator<Item = &'a GroupInfo>,
    path: &NodePath,
) -> Option<(&'a GroupInfo, Vec<ImageAxis>)> {
    let own = path.components();
    let above = groups.filter(|group| own.starts_with(group.path.components()) && group.path != *path);
    above.rev().find_map(|group| {
        let within = own.get(group.path.components().len()..)?.join("/");
        Some((group, axes_of(images(&group.attributes)?, &within)?))
    })
}

/// Whether a group is an image.
pub(crate) fn is_image(group: &GroupInfo) -> bool {
    images(&group.attributes).is_some()
}

/// How the image that the array at `path` is a level of has its `channels` shown (`omero`: colours, windows, names), if it says that
/// of each as OME-Zarr 0.5 wants it.
pub(super) fn display(groups: &[GroupInfo], path: &NodePath, channels: u64) -> Option<Value> {
    let (group, _) = image_of(groups.iter(), path)?;
    let json = |name: &str| match group.attributes.get(name) {
        Some(AttributeValue::Json(value)) => Some(value),
        _ => None,
    };
    let found = json("ome").and_then(|ome| ome.get("omero")).or_else(|| json("omero"))?;
    let listed = found.get("channels")?.as_array().filter(|listed| listed.len() as u64 == channels)?;
    let is_whole = |channel: &Value| {
        let window = channel.get("window");
        let is_number = |name| window.and_then(|window| window.get(name)).is_some_and(Value::is_number);
        channel.get("color").is_some_and(Value::is_string)
            && ["start", "min", "end", "max"].into_iter().all(is_number)
    };
    listed.iter().all(is_whole).then(|| found.clone())
}

/// The names of the axes of the image that the array at `path` is a level of, in its order.
pub(crate) fn axis_names(groups: &[&GroupInfo], path: &NodePath) -> Option<Vec<Option<String>>> {
    Some(read(groups.iter().copied(), path)?.into_iter().map(|axis| Some(axis.name)).collect())
}

/// The list of images in the attributes of a group.
fn images(attributes: &Attributes) -> Option<&Vec<Value>> {
    let json = |name: &str| match attributes.get(name) {
        Some(AttributeValue::Json(value)) => Some(value),
        _ => None,
    };
    let newer = || json("ome")?.get("multiscales");
    newer().or_else(|| json("multiscales"))?.as_array()
}

fn axes_of(images: &[Value], path: &str) -> Option<Vec<ImageAxis>> {
    images.iter().find_map(|image| {
        let datasets = image.get("datasets")?.as_array()?;
        let dataset =
            datasets.iter().find(|dataset| dataset.get("path").and_then(Value::as_str) == Some(path))?;
        let mut axes =
            image.get("axes")?.as_array()?.iter().map(axis_of).collect::<Option<Vec<ImageAxis>>>()?;
        // Those of the dataset come first, then those of the whole image.
        for of in [dataset, image] {
            let all = of.get("coordinateTransformations").and_then(Value::as_array);
            for transformation in all.into_iter().flatten() {
                apply(&mut axes, transformation);
            }
        }
        Some(axes)
    })
}

fn axis_of(value: &Value) -> Option<ImageAxis> {
    // In OME-Zarr 0.3 an axis is its name.
    let name = value.as_str().or_else(|| value.get("name")?.as_str())?.to_owned();
    let kind = value.get("type").and_then(Value::as_str).and_then(AxisType::of_name);
    let unit = value.get("unit").and_then(Value::as_str).map(str::to_owned);
    Some(ImageAxis { unit, ..ImageAxis::new(name, kind) })
}

/// Follows a scale or translation of one number an axis.
fn apply(axes: &mut [ImageAxis], transformation: &Value) {
    let kind = transformation.get("type").and_then(Value::as_str).unwrap_or("");
    let numbers = transformation.get(kind).and_then(Value::as_array);
    let numbers: Option<Vec<f64>> =
        numbers.map(|all| all.iter().filter_map(Value::as_f64).filter(|number| number.is_finite()).collect());
    let Some(numbers) = numbers.filter(|numbers| numbers.len() == axes.len()) else { return };
    for (axis, number) in axes.iter_mut().zip(numbers) {
        match kind {
            "scale" if number > 0.0 => {
                axis.scale *= number;
                axis.translation *= number;
            }
            "translation" => axis.translation += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(value: Value) -> GroupInfo {
        let mut attributes = Attributes::new();
        attributes.set("multiscales", AttributeValue::Json(value));
        GroupInfo { path: "a".parse().unwrap(), attributes, dimensions: Vec::new() }
    }

    #[test]
    fn stored_axes_are_read() {
        let group = group_of(json!([{
            "version": "0.4",
            "axes": [{ "name": "y", "type": "space", "unit": "micrometer" }, { "name": "x", "type": "space" }],
            "datasets": [{ "path": "0/data", "coordinateTransformations": [
                { "type": "scale", "scale": [0.5, 0.25] }, { "type": "translation", "translation": [1, 2] },
            ] }],
            "coordinateTransformations": [{ "type": "scale", "scale": [2, 2] }],
        }]));
        let axes = read(std::iter::once(&group), &"a/0/data".parse().unwrap()).unwrap();
        assert_eq!((axes[0].scale, axes[0].translation, axes[1].translation), (1.0, 2.0, 4.0));
        assert_eq!(axes[0].unit.as_deref(), Some("micrometer"));
        assert_eq!(read(std::iter::once(&group), &"a/1".parse().unwrap()), None);
    }

    #[test]
    fn nonsense_is_passed_over() {
        for value in [
            json!(7),
            json!([]),
            json!([{ "datasets": [{ "path": "0" }] }]),
            json!([{ "axes": [{ "type": "space" }], "datasets": [{ "path": "0" }] }]),
        ] {
            assert_eq!(read(std::iter::once(&group_of(value)), &"a/0".parse().unwrap()), None);
        }
        let strange = json!([{ "axes": [{ "name": "y" }], "datasets": [
            { "path": "0", "coordinateTransformations": [{ "type": "scale", "scale": [0, 1] }, { "type": "affine" }, 3] },
        ] }]);
        assert_eq!(read(std::iter::once(&group_of(strange)), &"a/0".parse().unwrap()).unwrap()[0].scale, 1.0);
    }
}
