//! Motion in the design: six parameters, with their derivatives, or Friston's twenty-four.

use crate::motion::Motion;
use mindeye_config::Confounds;

/// Columns of a kind.
pub(crate) fn columns(kind: Confounds) -> usize {
    match kind {
        Confounds::None => 0,
        Confounds::Motion6 => 6,
        Confounds::Motion12 => 12,
        Confounds::Friston24 => 24,
    }
}

/// Appends the columns of a volume with motion R_t (mm and rad) after one with R_{t−1}: R_t; R_t and R_t − R_{t−1}; or
/// R_t, R_t², R_{t−1}, R_{t−1}² (Friston et al. 1996, Magn Reson Med 35:346).
///
/// R_{t−1} is that of the volume that came before, censored or not; for the first volume it is R_t.
pub(crate) fn confounds_of(kind: Confounds, motion: &Motion, before: &Motion, out: &mut Vec<f64>) {
    if kind == Confounds::None {
        return;
    }
    let (motion, before) = (&motion.0, &before.0);
    out.extend(motion);
    match kind {
        Confounds::None | Confounds::Motion6 => {}
        Confounds::Motion12 => out.extend(motion.iter().zip(before).map(|(now, before)| now - before)),
        Confounds::Friston24 => {
            out.extend(motion.iter().map(|r| r * r));
            out.extend(before);
            out.extend(before.iter().map(|r| r * r));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_columns_in_order() {
        let (now, before) = (Motion([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Motion([0.5; 6]));
        let of = |kind| {
            let mut out = Vec::new();
            confounds_of(kind, &now, &before, &mut out);
            assert_eq!(out.len(), columns(kind));
            out
        };
        assert!(of(Confounds::None).is_empty());
        assert_eq!(of(Confounds::Motion6), now.0);
        assert_eq!(of(Confounds::Motion12)[6..], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
        let friston = of(Confounds::Friston24);
        assert_eq!((friston[7], friston[12], friston[18]), (4.0, 0.5, 0.25));
    }
}
