//! JSON for programs: arrays, attributes, plans and reports as objects. Sizes are bytes, times seconds.
//!
//! Invariant: what JSON has no number for (NaN, infinities, complex) is a text. Called by the commands for `--json`.

use blockwise::codec_text::codec_text;
use blockwise::convert::{ArrayReport, TransferReport};
use blockwise::core::plan::PlanSummary;
use blockwise::io::{ArrayInfo, AttributeValue, Attributes, GroupInfo};
use blockwise::kernels::{DType, Scalar};
use serde_json::{Map, Value, json};

/// A number as JSON says it.
pub(crate) fn scalar(value: &Scalar) -> Value {
    let number = match value.dtype() {
        DType::Bool => value.get::<bool>().map(Value::from),
        DType::I64 => value.get::<i64>().map(Value::from),
        DType::U64 => value.get::<u64>().map(Value::from),
        dtype if matches!(dtype.kind(), 'i' | 'u') =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "integers of up to 32 bits are exact in a double"
            )]
            value.to_f64().map(|value| Value::from(value as i64))
        }
        _ => value.to_f64().and_then(serde_json::Number::from_f64).map(Value::Number),
    };
    number.unwrap_or_else(|| Value::String(value.to_string()))
}

/// Attributes as an object.
pub(crate) fn attributes(attributes: &Attributes) -> Value {
    let entries = attributes.iter().map(|(name, value)| {
        let value = match value {
            AttributeValue::Text(text) => Value::from(text.as_str()),
            AttributeValue::Texts(texts) => Value::from(texts.as_slice()),
            AttributeValue::Number(number) => scalar(number),
            AttributeValue::Numbers(_, numbers) => numbers.iter().map(scalar).collect(),
            AttributeValue::Json(value) => value.clone(),
            _ => Value::Null,
        };
        (name.to_owned(), value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

/// An array's description.
pub(crate) fn array(info: &ArrayInfo) -> Value {
    json!({
        "path": info.path.to_string(),
        "format": info.format.to_string(),
        "dtype": info.element_type.to_string(),
        "shape": info.shape,
        "dimensions": info.dimension_names,
        "unlimited": info.unlimited,
        "chunks": info.chunk_shape,
        "shards": info.shard_shape,
        "codec": info.codec.as_ref().map(codec_text),
        "codecs": info.codec_text,
        "fill_value": info.fill_value.as_ref().map(scalar),
        "coordinate": info.is_coordinate,
        "attributes": attributes(&info.attributes),
    })
}

/// A group's description.
pub(crate) fn group(info: &GroupInfo) -> Value {
    let dimensions: Vec<Value> = info
        .dimensions
        .iter()
        .map(|(name, length, unlimited)| json!({ "name": name, "length": length, "unlimited": unlimited }))
        .collect();
    json!({
        "path": info.path.to_string(),
        "dimensions": dimensions,
        "attributes": attributes(&info.attributes),
    })
}

/// A plan.
pub(crate) fn plan(summary: &PlanSummary) -> Value {
    let stages: Vec<Value> = summary
        .stages
        .iter()
        .map(|stage| {
            json!({
                "name": stage.name,
                "chunks_read": stage.chunks_read,
                "chunks_written": stage.chunks_written,
                "bytes_read": stage.bytes_read,
                "bytes_written": stage.bytes_written,
                "peak_bytes": stage.peak_bytes,
                "batches": stage.batches,
                "device": stage.device,
            })
        })
        .collect();
    let sources: Vec<Value> = summary
        .sources
        .iter()
        .map(|source| {
            json!({ "label": source.label, "passes": source.passes, "stored_bytes": source.stored_bytes })
        })
        .collect();
    json!({
        "label": summary.label,
        "stages": stages,
        "sources": sources,
        "bytes_read": summary.bytes_read,
        "bytes_written": summary.bytes_written,
        "temporary_bytes": summary.temporary_bytes,
        "peak_bytes": summary.peak_bytes,
        "budget_bytes": summary.budget_bytes,
        "smallest_budget_bytes": summary.smallest_budget_bytes,
        "tasks": summary.tasks,
    })
}

/// What a conversion did.
pub(crate) fn transfer(report: &TransferReport) -> Value {
    json!({
        "output": report.path.display().to_string(),
        "format": report.format.to_string(),
        "secs": report.secs,
        "logical_bytes": report.logical_bytes(),
        "stored_bytes": report.stored_bytes(),
        "peak_reserved_bytes": report.peak_reserved_bytes(),
        "arrays": report.arrays.iter().map(transferred_array).collect::<Vec<_>>(),
    })
}

fn transferred_array(array: &ArrayReport) -> Value {
    json!({
        "path": array.path.to_string(),
        "dtype": array.element_type.to_string(),
        "shape": array.shape,
        "chunks": array.chunk_shape,
        "logical_bytes": array.logical_bytes,
        "stored_bytes": array.run.stored_bytes,
        "bytes_read": array.run.bytes_read,
        "bytes_written": array.run.bytes_written,
        "chunks_skipped": array.run.chunks_skipped,
        "peak_reserved_bytes": array.run.peak_reserved_bytes,
        "secs": array.run.secs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value() {
        assert_eq!(scalar(&Scalar::from(u64::MAX)), json!(u64::MAX));
        assert_eq!(scalar(&Scalar::from(-3_i8)), json!(-3));
        assert_eq!(scalar(&Scalar::from(0.5_f32)), json!(0.5));
        assert_eq!(scalar(&Scalar::from(f64::NAN)), json!("NaN"));
        assert_eq!(scalar(&Scalar::from(true)), json!(true));
    }
}
