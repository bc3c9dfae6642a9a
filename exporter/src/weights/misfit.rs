//! Every difference between the tensors that a network needs and those that a file holds, with both shapes.

use super::layout::Entry;
use std::fmt;

/// A tensor whose shape is not the network's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshaped {
    /// Its key.
    pub key: String,
    /// The network's shape; 0 stands for an axis that no tensor told.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

/// All differences at once, so that one run of the program tells everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Misfit {
    /// Tensors that the file lacks.
    pub missing: Vec<Entry>,
    /// Tensors that the network has no place for.
    pub extra: Vec<Entry>,
    /// Tensors of another shape.
    pub misshaped: Vec<Misshaped>,
}

impl Misfit {
    /// Whether file and network agree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.misshaped.is_empty()
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = |(key, shape): &Entry| format!("{key} {}", show(shape));
        let groups = [
            ("missing", self.missing.iter().map(entry).collect::<Vec<_>>()),
            ("extra", self.extra.iter().map(entry).collect()),
            ("mis-shaped", self.misshaped.iter().map(Misshaped::sentence).collect()),
        ];
        let told = groups.iter().filter(|(_, tensors)| !tensors.is_empty());
        let told = told.map(|(what, tensors)| format!("{} {what}: {}", tensors.len(), tensors.join(", ")));
        f.write_str(&told.collect::<Vec<_>>().join("; "))
    }
}

impl Misshaped {
    fn sentence(&self) -> String {
        format!("{} (expected {}, found {})", self.key, show(&self.expected), show(&self.found))
    }
}

/// A shape for people; an axis of 0, which no tensor told, is `?`.
fn show(shape: &[usize]) -> String {
    let axes: Vec<_> = shape.iter().map(|n| if *n == 0 { "?".to_owned() } else { n.to_string() }).collect();
    format!("[{}]", axes.join(", "))
}

/// Whether `found` can be what the network expects; 0 in `expected` fits every size, 0 in `found` fits nothing.
pub(super) fn shapes_agree(expected: &[usize], found: &[usize]) -> bool {
    let fits = |(e, f): (&usize, &usize)| *f > 0 && (*e == 0 || e == f);
    expected.len() == found.len() && expected.iter().zip(found).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_tells_all_differences_with_both_shapes() {
        let misfit = Misfit {
            missing: vec![("lin0.0.weight".into(), vec![512, 0])],
            extra: vec![("stray".into(), vec![3])],
            misshaped: vec![Misshaped { key: "lin1.bias".into(), expected: vec![8], found: vec![9] }],
        };
        let expected = "1 missing: lin0.0.weight [512, ?]; 1 extra: stray [3]; \
                        1 mis-shaped: lin1.bias (expected [8], found [9])";
        assert_eq!(misfit.to_string(), expected);
    }

    #[test]
    fn an_unknown_axis_fits_any_size_but_an_empty_tensor_fits_nothing() {
        let cases = [
            (&[2, 3][..], &[2, 3][..], true),
            (&[2, 0], &[2, 7], true),
            (&[2, 3], &[3, 2], false),
            (&[2, 3], &[2, 3, 1], false),
            (&[0, 3], &[0, 3], false),
        ];
        for (expected, found, agree) in cases {
            assert_eq!(shapes_agree(expected, found), agree, "{expected:?} {found:?}");
        }
    }
}
