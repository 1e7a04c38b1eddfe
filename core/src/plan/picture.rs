//! A plan as a picture: DOT for Graphviz, and SVG that needs nothing.
//!
//! Invariant: the picture depends on the plan alone, so that it can be compared with one kept. Called by
//! [`Plan::to_dot`] and [`Plan::to_svg`].

use super::Plan;
use crate::error::human_bytes;
use crate::sink::Sink;
use crate::source::Source;
use std::fmt::Write;
use std::sync::Arc;

/// What is drawn: arrays and stages, and what goes from one to another.
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<(usize, usize)>,
}

struct Node {
    lines: Vec<String>,
    is_stage: bool,
    /// Column, from the sources on the left.
    column: usize,
}

impl Graph {
    fn of(plan: &Plan) -> Self {
        let mut graph = Self { nodes: Vec::new(), edges: Vec::new() };
        let mut arrays: Vec<(usize, usize)> = Vec::new();
        for (number, (stage, summary)) in plan.stages.iter().zip(&plan.summary.stages).enumerate() {
            let inputs: Vec<usize> = stage
                .inputs
                .iter()
                .map(|input| {
                    graph.array(&mut arrays, address(&input.source), 0, || described(&*input.source))
                })
                .collect();
            let column =
                inputs.iter().filter_map(|at| graph.nodes.get(*at)).map(|node| node.column + 1).max();
            let lines = vec![
                format!("stage {}: {}", number + 1, stage.name),
                format!("{} tasks of {:?}", summary.tasks, stage.tasks.largest_chunk()),
                format!("within {}", human_bytes(summary.peak_bytes)),
            ];
            let column = column.unwrap_or(1);
            graph.nodes.push(Node { lines, is_stage: true, column });
            let own = graph.nodes.len() - 1;
            graph.edges.extend(inputs.into_iter().map(|input| (input, own)));
            for sink in stage.work.sinks() {
                let at = graph.array(&mut arrays, sink_address(sink), column + 1, || {
                    vec![sink.label().to_owned(), shape_of(sink.dtype(), &sink.grid().shape())]
                });
                graph.edges.push((own, at));
            }
        }
        graph.edges.dedup();
        graph
    }

    /// The node of an array; made if it is not there yet.
    fn array(
        &mut self,
        known: &mut Vec<(usize, usize)>,
        address: usize,
        column: usize,
        lines: impl FnOnce() -> Vec<String>,
    ) -> usize {
        if let Some((_, at)) = known.iter().find(|(other, _)| *other == address) {
            return *at;
        }
        self.nodes.push(Node { lines: lines(), is_stage: false, column });
        known.push((address, self.nodes.len() - 1));
        self.nodes.len() - 1
    }
}

fn address(source: &Arc<dyn Source>) -> usize {
    Arc::as_ptr(source).cast::<()>().addr()
}

fn sink_address(sink: &Arc<dyn Sink>) -> usize {
    Arc::as_ptr(sink).cast::<()>().addr()
}

fn described(source: &dyn Source) -> Vec<String> {
    vec![source.label().to_owned(), shape_of(source.dtype(), &source.grid().shape())]
}

fn shape_of(dtype: blockwise_kernels::DType, shape: &[u64]) -> String {
    format!("{dtype} {shape:?}")
}

impl Plan {
    /// The plan as a graph in Graphviz's language.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let graph = Graph::of(self);
        let mut text = String::from("digraph plan {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (number, node) in graph.nodes.iter().enumerate() {
            let label = node.lines.join("\\n").replace('"', "'");
            let look = if node.is_stage {
                "shape=box, style=filled, fillcolor=\"#dbe9f6\""
            } else {
                "shape=cylinder"
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  n{number} [label=\"{label}\", {look}];");
        }
        for (from, to) in &graph.edges {
            let _ = writeln!(text, "  n{from} -> n{to};");
        }
        text.push_str("}\n");
        text
    }

    /// The plan as an SVG picture: sources on the left, results on the right, a box for each stage.
    #[must_use]
    pub fn to_svg(&self) -> String {
        const WIDTH: usize = 260;
        const HEIGHT: usize = 64;
        const GAP_X: usize = 50;
        const GAP_Y: usize = 24;
        let graph = Graph::of(self);
        let columns = graph.nodes.iter().map(|node| node.column + 1).max().unwrap_or(1);
        let mut filled = vec![0_usize; columns];
        let mut places = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let row = filled.get_mut(node.column).map_or(0, |rows| {
                *rows += 1;
                *rows - 1
            });
            places.push((GAP_Y + node.column * (WIDTH + GAP_X), GAP_Y + row * (HEIGHT + GAP_Y)));
        }
        let rows = filled.iter().copied().max().unwrap_or(1);
        let (width, height) = (GAP_Y * 2 + columns * (WIDTH + GAP_X), GAP_Y + rows * (HEIGHT + GAP_Y));
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n"
        );
        for (from, to) in &graph.edges {
            if let (Some((x1, y1)), Some((x2, y2))) = (places.get(*from), places.get(*to)) {
                let (x1, y1, y2) = (x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
                let middle = usize::midpoint(x1, *x2);
                let _ = writeln!(
                    text,
                    "<path d=\"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#777\"/>"
                );
            }
        }
        for (node, (x, y)) in graph.nodes.iter().zip(&places) {
            let (fill, radius) = if node.is_stage { ("#dbe9f6", 3) } else { ("#f4f1e6", 14) };
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"#555\"/>"
            );
            for (number, line) in node.lines.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "<text x=\"{}\" y=\"{}\">{}</text>",
                    x + 10,
                    y + 20 + number * 17,
                    escaped(&shortened(line))
                );
            }
        }
        text.push_str("</svg>\n");
        text
    }
}

/// At most what fits a box.
fn shortened(line: &str) -> String {
    const MOST: usize = 38;
    if line.chars().count() <= MOST {
        return line.to_owned();
    }
    let kept: String = line.chars().take(MOST - 1).collect();
    format!("{kept}…")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
