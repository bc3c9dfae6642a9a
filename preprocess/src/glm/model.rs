//! A model picks, from all columns that are summed, those of one trial's fit: this trial, the others, the nuisance.

use super::solve::{Factor, Symmetric, dot};
use super::statistics::Row;

/// One regressor of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    /// Slots whose sum it is.
    pub(crate) slots: Vec<usize>,
    /// The same sum as a cheaper combination of moments: all trials less one instead of 70 trials.
    pub(crate) moments: Vec<(usize, f64)>,
    /// Penalty on its squared coefficient; 0 for none.
    pub(crate) ridge: f64,
}

impl Term {
    pub(crate) fn column(slot: usize) -> Self {
        Self { slots: vec![slot], moments: vec![(slot, 1.0)], ridge: 0.0 }
    }

    pub(crate) fn penalised(slot: usize, ridge: f64) -> Self {
        Self { ridge, ..Self::column(slot) }
    }
}

/// The regressors of one fit, nuisance first and the trial that is asked for last: what is left out as dependent
/// is then never the trial before the nuisance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) terms: Vec<Term>,
    /// Slots that, with the last term, span what the terms span, and that other trials' models have as well.
    pub(crate) base: Vec<usize>,
}

impl Model {
    /// Mᵀ G M: `gram` of the slots as seen by the terms.
    ///
    /// A term of many slots is summed entry by entry. As "all less this one" a newcomer's first tiny values would
    /// drown in the rounding of the others' large ones.
    pub(crate) fn gram(&self, gram: &Symmetric) -> Symmetric {
        let mut of_terms = Symmetric::zeros(self.terms.len());
        for (a, row) in self.terms.iter().enumerate() {
            for (b, column) in self.terms[..=a].iter().enumerate() {
                let entries = row.slots.iter().flat_map(|i| column.slots.iter().map(|j| gram.get(*i, *j)));
                let sum: f64 = entries.sum();
                of_terms.add(a, b, sum);
                if a != b {
                    of_terms.add(b, a, sum);
                }
            }
        }
        of_terms
    }

    /// A design row as seen by the terms.
    pub(crate) fn row(&self, row: &Row) -> Vec<f64> {
        let of_slot = |slot: &usize| row.iter().find(|entry| entry.0 == *slot).map_or(0.0, |entry| entry.1);
        self.terms.iter().map(|term| term.slots.iter().map(of_slot).sum()).collect()
    }

    /// Slot of the trial that is asked for.
    ///
    /// # Panics
    /// If the model has no terms.
    pub(crate) fn probe(&self) -> usize {
        self.terms.last().expect("a trial's model ends with the trial").slots[0]
    }

    pub(crate) fn ridge(&self) -> Vec<f64> {
        self.terms.iter().map(|term| term.ridge).collect()
    }

    /// Σ wᵢ termᵢ as a combination of moments, slot by slot.
    pub(crate) fn of_moments(&self, weights: &[f64]) -> Vec<(usize, f64)> {
        let mut combination: Vec<(usize, f64)> = Vec::new();
        for (term, weight) in self.terms.iter().zip(weights) {
            for (slot, factor) in &term.moments {
                match combination.iter_mut().find(|entry| entry.0 == *slot) {
                    Some(entry) => entry.1 += weight * factor,
                    None => combination.push((*slot, weight * factor)),
                }
            }
        }
        combination
    }
}

/// The normal equations of a model, solved for its last term: β = wᵀ m, with (A + Λ) w = e_last.
pub(crate) struct System {
    /// w.
    pub(crate) weights: Vec<f64>,
    /// wᵀ A w: the beta's variance in units of the noise's.
    pub(crate) variance: f64,
    /// Residual degrees of freedom, n − tr((A + Λ)⁻¹ A).
    pub(crate) freedom: f64,
    /// Of A + Λ.
    pub(crate) factor: Factor,
    ridge: Vec<f64>,
}

impl System {
    /// `None` where `volumes` volumes do not determine the last term, or leave less than one degree of freedom.
    pub(crate) fn new(gram: &Symmetric, ridge: Vec<f64>, volumes: usize) -> Option<Self> {
        let last = ridge.len().checked_sub(1)?;
        let mut penalised = gram.clone();
        for (i, penalty) in ridge.iter().enumerate() {
            penalised.add(i, i, *penalty);
        }
        let factor = Factor::new(&penalised);
        if !factor.is_independent(last) {
            return None;
        }
        let mut unit = vec![0.0; ridge.len()];
        unit[last] = 1.0;
        let weights = factor.solve(&unit);
        let variance = weights[last] - penalty(&ridge, &weights);
        let given_back = match ridge.iter().any(|penalty| *penalty > 0.0) {
            true => dot(&ridge, &factor.inverse_diagonal()),
            false => 0.0,
        };
        let freedom = volumes as f64 - factor.rank() as f64 + given_back;
        (freedom >= 1.0 - 1e-9).then_some(Self { weights, factor, variance, freedom, ridge })
    }

    /// Σ λᵢ bᵢ².
    pub(crate) fn penalty(&self, coefficients: &[f64]) -> f64 {
        penalty(&self.ridge, coefficients)
    }
}

fn penalty(ridge: &[f64], coefficients: &[f64]) -> f64 {
    ridge.iter().zip(coefficients).map(|(penalty, b)| penalty * b * b).sum()
}
