//! Does a confidence keep its word, and what does abstaining buy?

use serde::Serialize;

/// One threshold of confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CoverageRisk {
    /// The lowest confidence that is answered.
    pub threshold: f64,
    /// Share of trials that are answered.
    pub coverage: f64,
    /// Share of the answered trials that are wrong.
    pub risk: f64,
}

/// The coverage-risk curve of (confidence, right) trials, one point per distinct confidence, most confident first
/// (El-Yaniv and Wiener 2010). Trials of equal confidence are answered together.
#[must_use]
pub fn coverage_risk(trials: &[(f64, bool)]) -> Vec<CoverageRisk> {
    let mut sorted = trials.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut wrong, mut curve) = (0_usize, Vec::new());
    for (i, (confidence, right)) in sorted.iter().enumerate() {
        wrong += usize::from(!right);
        if sorted.get(i + 1).is_some_and(|next| next.0 == *confidence) {
            continue;
        }
        let answered = (i + 1) as f64;
        let (coverage, risk) = (answered / sorted.len() as f64, wrong as f64 / answered);
        curve.push(CoverageRisk { threshold: *confidence, coverage, risk });
    }
    curve
}

/// Mean risk over the coverages 1/n, 2/n, ..., 1 (AURC; Geifman and El-Yaniv 2017, arXiv 1705.08500); 0 without trials.
#[must_use]
pub fn area_under_risk(trials: &[(f64, bool)]) -> f64 {
    let curve = coverage_risk(trials);
    let before = [0.0].into_iter().chain(curve.iter().map(|point| point.coverage));
    curve.iter().zip(before).map(|(point, before)| point.risk * (point.coverage - before)).sum()
}

/// Σ (n_b/n) |right share of b − mean confidence of b| over `bins` bins of equal width, lower edges excluded (ECE; Naeini
/// et al. 2015); 0 without trials.
#[must_use]
pub fn expected_calibration_error(trials: &[(f64, bool)], bins: usize) -> f64 {
    let bin_of = |confidence: f64| ((confidence * bins as f64).ceil() as usize).clamp(1, bins) - 1;
    let mut gaps = vec![0.0; bins];
    for (confidence, right) in trials {
        gaps[bin_of(*confidence)] += f64::from(u8::from(*right)) - confidence;
    }
    let total: f64 = gaps.iter().map(|gap| gap.abs()).sum();
    if trials.is_empty() { 0.0 } else { total / trials.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIALS: [(f64, bool); 5] = [(0.9, true), (0.6, false), (0.8, true), (0.6, true), (0.2, false)];

    #[test]
    fn the_curve_answers_the_most_confident_first() {
        let points: Vec<_> = coverage_risk(&TRIALS).iter().map(|p| (p.threshold, p.coverage, p.risk)).collect();
        assert_eq!(points, [(0.9, 0.2, 0.0), (0.8, 0.4, 0.0), (0.6, 0.8, 0.25), (0.2, 1.0, 0.4)]);
        // 0 + 0 + 0.25 x 0.4 + 0.4 x 0.2; 1e-12: f64 sums.
        assert!((area_under_risk(&TRIALS) - 0.18).abs() < 1e-12);
        assert_eq!((coverage_risk(&[]).len(), area_under_risk(&[])), (0, 0.0));
    }

    #[test]
    fn calibration_error_by_hand() {
        // Bins of 0.2: {0.2} 0 of 1, gap 0.2; {0.6, 0.6} 1 of 2, gap 0.2; {0.9, 0.8} 2 of 2, gap 0.3. Sum 0.2 + 0.2 + 0.3.
        assert!((expected_calibration_error(&TRIALS, 5) - 0.14).abs() < 1e-12);
        assert_eq!(expected_calibration_error(&[(1.0, true), (0.0, false)], 10), 0.0);
        assert_eq!(expected_calibration_error(&[(1.0, false)], 10), 1.0);
        assert_eq!(expected_calibration_error(&[], 10), 0.0);
    }
}
