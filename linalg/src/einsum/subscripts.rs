//! The subscripts of `einsum`: which axis of which array is called what, and what the result has.
//!
//! Invariant: every label of the result is one of an operand, and stands in it once. Called by [`super::einsum`].

use blockwise_core::{Error, Result};

/// The name of an axis: a letter, or its place from the right among those of an ellipsis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// Subscripts with the labels of every axis.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subscripts {
    pub(super) operands: Vec<Vec<Label>>,
    pub(super) result: Vec<Label>,
}

impl Subscripts {
    /// What `text` means for operands of these ranks.
    pub(super) fn parse(text: &str, ranks: &[usize]) -> Result<Self> {
        let refuse = |what: &str| Error::Usage {
            message: format!("einsum subscripts '{text}': {what}; write for example 'ij,jk->ik'"),
        };
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match compact.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (compact.as_str(), None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != ranks.len() {
            return Err(refuse(&format!("{} terms for {} arrays", terms.len(), ranks.len())));
        }
        let mut operands = Vec::with_capacity(terms.len());
        let mut hidden = 0;
        for (term, rank) in terms.iter().zip(ranks) {
            let (before, after) = halves(term);
            let named = before.chars().count() + after.map_or(0, |after| after.chars().count());
            let spare = rank.checked_sub(named).filter(|spare| *spare == 0 || after.is_some());
            let Some(spare) = spare else {
                return Err(refuse(&format!("'{term}' for an array of {rank} axes")));
            };
            hidden = hidden.max(spare);
            let labels = letters(before).chain(dots(spare)).chain(letters(after.unwrap_or("")));
            operands
                .push(labels.collect::<Option<Vec<Label>>>().ok_or_else(|| refuse("labels are letters"))?);
        }
        let result = match right {
            Some(right) => {
                let (before, after) = halves(right);
                let shown = if after.is_some() { hidden } else { 0 };
                let labels = letters(before).chain(dots(shown)).chain(letters(after.unwrap_or("")));
                labels.collect::<Option<Vec<Label>>>().ok_or_else(|| refuse("labels are letters"))?
            }
            // What is hidden, then the letters that stand once, in alphabetical order.
            None => {
                let all: Vec<Label> = operands.iter().flatten().copied().collect();
                let once = |label: &&Label| {
                    matches!(label, Label::Letter(_)) && all.iter().filter(|own| own == label).count() == 1
                };
                let mut letters: Vec<Label> = all.iter().filter(once).copied().collect();
                letters.sort_unstable();
                dots(hidden).flatten().chain(letters).collect()
            }
        };
        for (n, label) in result.iter().enumerate() {
            if result[..n].contains(label) {
                return Err(refuse("a label stands in the result twice"));
            }
            if !operands.iter().any(|operand| operand.contains(label)) {
                return Err(refuse("a label of the result stands in no term"));
            }
        }
        Ok(Self { operands, result })
    }
}

/// What is before an ellipsis, and after it if there is one.
fn halves(term: &str) -> (&str, Option<&str>) {
    term.split_once("...").map_or((term, None), |(before, after)| (before, Some(after)))
}

fn letters(text: &str) -> impl Iterator<Item = Option<Label>> + '_ {
    text.chars().map(|c| c.is_ascii_alphabetic().then_some(Label::Letter(c)))
}

fn dots(count: usize) -> impl Iterator<Item = Option<Label>> {
    (0..count).rev().map(|place| Some(Label::Ellipsis(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscripts_are_numpys() {
        let [i, j, k] = ['i', 'j', 'k'].map(Label::Letter);
        let parsed = Subscripts::parse("ij, jk", &[2, 2]).unwrap();
        assert_eq!((parsed.operands, parsed.result), (vec![vec![i, j], vec![j, k]], vec![i, k]));
        let parsed = Subscripts::parse("k...i,...->i...", &[4, 1]).unwrap();
        let [last, first] = [Label::Ellipsis(0), Label::Ellipsis(1)];
        assert_eq!(parsed.operands, [vec![k, first, last, i], vec![last]]);
        assert_eq!(parsed.result, [i, first, last]);
        assert_eq!(Subscripts::parse("ii", &[2]).unwrap().result, []);
        for (bad, ranks) in
            [("ij,jk", vec![2]), ("ij", vec![3]), ("ij->k", vec![2]), ("ij->ii", vec![2]), ("i1", vec![2])]
        {
            assert!(Subscripts::parse(bad, &ranks).is_err(), "{bad}");
        }
        assert!(Subscripts::parse("i....j", &[2]).is_err());
    }
}
