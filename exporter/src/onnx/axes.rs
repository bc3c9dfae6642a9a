//! The operators that move numbers about or take one of each row: shapes change, arithmetic hardly.

use super::graph::{Graph, GraphError, Wire, int, ints};
use super::ops::broadcast;
use std::ops::Range;

impl Graph<'_> {
    /// The same numbers in row-major order under another shape.
    ///
    /// # Errors
    /// The shapes hold different counts of numbers.
    pub fn reshape(&mut self, node: &str, x: &Wire, shape: &[usize]) -> Result<Wire, GraphError> {
        let sizes = self.sizes(&format!("{node}/shape"), shape);
        if x.shape().iter().product::<usize>() != shape.iter().product::<usize>() {
            return wrong(node, "Reshape", x, shape);
        }
        self.node("Reshape", node, &[x, &sizes], Vec::new(), shape)
    }

    /// Reorders the axes: axis `i` of the result is axis `order[i]` of `x`.
    ///
    /// # Errors
    /// `order` is no permutation of the axes.
    pub fn transpose(&mut self, node: &str, x: &Wire, order: &[usize]) -> Result<Wire, GraphError> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.shape().len()) {
            return wrong(node, "Transpose", x, order);
        }
        let shape: Vec<usize> = order.iter().map(|i| x.shape()[*i]).collect();
        self.node("Transpose", node, &[x], vec![ints("perm", order)], &shape)
    }

    /// The part of `x` whose index along `axis` lies in `range`.
    ///
    /// # Errors
    /// No such axis, or it is shorter.
    pub fn slice(&mut self, node: &str, x: &Wire, axis: usize, range: Range<usize>) -> Result<Wire, GraphError> {
        let fits = |size: &usize| range.start < range.end && range.end <= *size;
        if !x.shape().get(axis).is_some_and(fits) {
            return wrong(node, "Slice", x, &[axis, range.start, range.end]);
        }
        let mut shape = x.shape().to_vec();
        shape[axis] = range.len();
        let [start, end, axes] = [("start", range.start), ("end", range.end), ("axis", axis)]
            .map(|(what, value)| self.sizes(&format!("{node}/{what}"), &[value]));
        self.node("Slice", node, &[x, &start, &end, &axes], Vec::new(), &shape)
    }

    /// `parts` one after the other along `axis`.
    ///
    /// # Errors
    /// Parts that differ along another axis.
    pub fn concat(&mut self, node: &str, parts: &[&Wire], axis: usize) -> Result<Wire, GraphError> {
        let others = |wire: &Wire| [&wire.shape()[..axis], &wire.shape()[axis + 1..]].concat();
        let first = parts[0];
        if let Some(odd) = parts.iter().find(|p| p.shape().len() <= axis || others(p) != others(first)) {
            return wrong(node, "Concat", first, odd.shape());
        }
        let mut shape = first.shape().to_vec();
        shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
        let axis = i64::try_from(axis).expect("a tensor has a handful of axes");
        self.node("Concat", node, parts, vec![int("axis", axis)], &shape)
    }

    /// `x` repeated along axes of size 1 until it has `shape`.
    ///
    /// # Errors
    /// `x` does not broadcast to `shape`.
    pub fn expand(&mut self, node: &str, x: &Wire, shape: &[usize]) -> Result<Wire, GraphError> {
        if broadcast(x.shape(), shape).as_deref() != Some(shape) {
            return wrong(node, "Expand", x, shape);
        }
        let sizes = self.sizes(&format!("{node}/shape"), shape);
        self.node("Expand", node, &[x, &sizes], Vec::new(), shape)
    }

    /// Length (root of the sum of squares) of each row along the last axis, which stays with size 1.
    ///
    /// # Errors
    /// The name is taken.
    pub fn row_lengths(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.reduce("ReduceL2", node, x)
    }

    /// Largest number of each row along the last axis, which stays with size 1.
    ///
    /// # Errors
    /// The name is taken.
    pub fn row_maxima(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.reduce("ReduceMax", node, x)
    }

    fn reduce(&mut self, op: &'static str, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        let Some((_, before)) = x.shape().split_last() else { return wrong(node, op, x, &[1]) };
        let axes = self.sizes(&format!("last_axis/{}", before.len()), &[before.len()]);
        self.node(op, node, &[x, &axes], vec![int("keepdims", 1)], &[before, &[1]].concat())
    }
}

fn wrong<T>(node: &str, op: &'static str, x: &Wire, right: &[usize]) -> Result<T, GraphError> {
    Err(GraphError::Shapes { node: node.to_owned(), op, left: x.shape().to_vec(), right: right.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_config::Precision;

    fn graph(shape: &[usize]) -> (Graph<'static>, Wire) {
        let mut graph = Graph::new("test", Precision::Fp32);
        let x = graph.input("x", shape).unwrap();
        (graph, x)
    }

    #[test]
    fn reshape_keeps_the_count_and_transpose_wants_a_permutation() {
        let (mut graph, x) = graph(&[2, 6]);
        assert_eq!(graph.reshape("r", &x, &[3, 4]).unwrap().shape(), [3, 4]);
        assert_eq!(graph.transpose("t", &x, &[1, 0]).unwrap().shape(), [6, 2]);
        assert!(graph.reshape("r2", &x, &[5]).unwrap_err().to_string().contains("[2, 6] does not go with [5]"));
        assert!(graph.transpose("t2", &x, &[0, 0]).is_err());
        assert!(graph.transpose("t3", &x, &[0]).is_err());
    }

    #[test]
    fn what_is_cut_apart_goes_together_again() {
        let (mut graph, x) = graph(&[2, 6, 3]);
        let front = graph.slice("front", &x, 1, 0..2).unwrap();
        let back = graph.slice("back", &x, 1, 2..6).unwrap();
        assert_eq!((front.shape(), back.shape()), (&[2, 2, 3][..], &[2, 4, 3][..]));
        assert_eq!(graph.concat("whole", &[&front, &back], 1).unwrap().shape(), x.shape());
        assert!(graph.slice("beyond", &x, 1, 2..7).is_err());
        assert!(graph.slice("nothing", &x, 1, 2..2).is_err());
        assert!(graph.slice("no axis", &x, 3, 0..1).is_err());
        assert!(graph.concat("uneven", &[&front, &back], 0).is_err());
    }

    #[test]
    fn expansion_follows_broadcasting() {
        let (mut graph, x) = graph(&[1, 3]);
        assert_eq!(graph.expand("e", &x, &[4, 2, 3]).unwrap().shape(), [4, 2, 3]);
        assert!(graph.expand("e2", &x, &[2]).is_err());
        assert!(graph.expand("e3", &x, &[1, 1]).is_err());
    }

    #[test]
    fn reductions_keep_an_axis_of_one() {
        let (mut graph, x) = graph(&[2, 6, 3]);
        assert_eq!(graph.row_lengths("l", &x).unwrap().shape(), [2, 6, 1]);
        assert_eq!(graph.row_maxima("m", &x).unwrap().shape(), [2, 6, 1]);
    }
}
