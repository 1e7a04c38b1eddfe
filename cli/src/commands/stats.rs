//! `stats`: what is in an array, in one pass.
//!
//! Called by [`super::run`].

use crate::args::{OutputArgs, ReadArgs, RunArgs, location, parse_dtype};
use crate::values::number;
use crate::{interrupt, json, progress, text};
use blockwise::Result;
use blockwise::evaluate::EvalOptions;
use blockwise::kernels::Scalar;
use blockwise::stats::{Statistics, stats};
use clap::Args;
use serde_json::{Value, json};

/// Characters of the longest bar.
const BAR: u64 = 40;

/// Count, missing, min, max, mean, standard deviation and histogram of an array, in one pass
///
/// Of a container without a node: of every array that holds no coordinates. Packed data (CF) are taken as the values they
/// stand for, missing ones as NaN, unless --raw is given. Bins are as wide as a power of two and hold exact counts.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl stats era5.nc::t2m
  arrayctl stats climate.zarr --json
  arrayctl stats packed.nc::t2m --raw --memory 512MiB")]
pub(crate) struct Arguments {
    /// The array or container, as PATH or PATH::NODE
    source: String,
    /// Take elements as they are stored: no CF unpacking, no missing values
    #[arg(long, help_heading = "Input")]
    raw: bool,
    /// Print the plan and stop
    #[arg(long, help_heading = "Run")]
    dry_run: bool,
    /// Element type of a raw input, with --shape
    #[arg(long, value_name = "DTYPE", help_heading = "Input", requires = "shape")]
    dtype: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: &Arguments, output: &OutputArgs) -> Result<()> {
    let options = EvalOptions {
        open: arguments.read.options(arguments.dtype.as_deref().map(parse_dtype).transpose()?)?,
        raw: arguments.raw,
        plan_only: arguments.dry_run,
        ..EvalOptions::default()
    };
    let cancellation = interrupt::cancellation();
    let resources = arguments.run.resources()?;
    let watcher = progress::watcher(&arguments.run, output)?;
    let source = location(&arguments.source)?;
    let (all, plans) = stats(&source, &options, &resources, &*watcher, &cancellation)?;
    drop(watcher);
    let texts: Vec<String> = if output.json {
        let object = if arguments.dry_run {
            json!({ "plans": plans.iter().map(json::plan).collect::<Vec<_>>() })
        } else {
            json!({ "arrays": all.iter().map(as_json).collect::<Vec<_>>() })
        };
        vec![object.to_string()]
    } else if arguments.dry_run {
        plans.iter().map(|plan| text::printable_lines(&plan.to_string())).collect()
    } else {
        all.iter().map(as_text).collect()
    };
    text::print(&texts.join("\n"));
    Ok(())
}

fn as_json(found: &Statistics) -> Value {
    let number = |value: f64| json::scalar(&Scalar::from(value));
    let edges: Vec<Value> = found.histogram.edges().into_iter().map(number).collect();
    let [negative, positive] = found.histogram.infinite();
    json!({
        "array": found.label,
        "dtype": found.dtype.name(),
        "shape": found.shape,
        "unpacked": found.unpacked,
        "count": found.count,
        "missing": found.missing,
        "min": number(found.min),
        "max": number(found.max),
        "mean": number(found.mean),
        "std": number(found.std),
        "histogram": {
            "edges": edges,
            "counts": found.histogram.counts(),
            "negative_infinity": negative,
            "positive_infinity": positive,
        },
    })
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn as_text(found: &Statistics) -> String {
    let packed = if found.unpacked { " (unpacked)" } else { "" };
    let total = (found.count + found.missing).max(1);
    let share = 100.0 * found.missing as f64 / total as f64;
    let mut rows = vec![
        ("count".to_owned(), found.count.to_string()),
        ("missing".to_owned(), format!("{} ({share:.1} %)", found.missing)),
    ];
    for (name, value) in [("min", found.min), ("max", found.max), ("mean", found.mean), ("std", found.std)] {
        rows.push((name.to_owned(), number(value, 9)));
    }
    for (sign, count) in ["-inf", "inf"].iter().zip(found.histogram.infinite()) {
        if count > 0 {
            rows.push(((*sign).to_owned(), count.to_string()));
        }
    }
    let heading =
        format!("{}  {} {}{packed}", text::printable(&found.label), found.dtype, text::shape(&found.shape));
    let (edges, counts) = (found.histogram.edges(), found.histogram.counts());
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let digits = counts.iter().map(|count| count.to_string().len()).max().unwrap_or(1);
    let bars = edges.windows(2).zip(counts).map(|(edges, count)| {
        let bar = "#".repeat(count.saturating_mul(BAR).div_ceil(most).min(BAR) as usize);
        let range: Vec<String> = edges.iter().map(|edge| number(*edge, 9)).collect();
        (format!("[{})", range.join(", ")), format!("{count:>digits$} {bar}"))
    });
    let bars: Vec<(String, String)> = bars.collect();
    format!("{heading}\n{}\n{}", text::columns(&rows, 2), text::columns(&bars, 2)).trim_end().to_owned()
}
