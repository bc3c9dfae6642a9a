//! The factor on the loss that keeps gradients above the smallest float16 (Micikevicius et al. 2018, section 3.2): halved
//! when a gradient overflows, doubled after a long time without, as PyTorch's `GradScaler`.

use tch::{Kind, Tensor};

/// Updates without overflow after which the scale is doubled.
const PATIENCE: u32 = 2000;
/// The first scale.
const FIRST: f64 = 65_536.0;
/// The largest, beyond which float32 itself would overflow first.
const LARGEST: f64 = 16_777_216.0;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LossScale {
    /// The factor.
    pub(super) scale: f64,
    /// Updates since it changed.
    pub(super) good: u32,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { scale: FIRST, good: 0 }
    }
}

impl LossScale {
    /// Divides `gradients` by the scale and moves it; false when one of them overflowed, and the update must not be done.
    pub(super) fn undo(&mut self, gradients: &[Tensor]) -> bool {
        let divided = |gradient: &Tensor| {
            let _ = gradient.shallow_clone().g_div_scalar_(self.scale);
            gradient.sum(Kind::Float) // infinite or NaN if one of its numbers is
        };
        let finite = tch::no_grad(|| {
            let sums: Vec<Tensor> = gradients.iter().filter(|gradient| gradient.defined()).map(divided).collect();
            sums.is_empty() || Tensor::stack(&sums, 0).isfinite().all().int64_value(&[]) == 1
        });
        self.moved(finite);
        finite
    }

    fn moved(&mut self, finite: bool) {
        self.good = if finite { self.good + 1 } else { 0 };
        if !finite {
            self.scale = (self.scale / 2.0).max(1.0);
        } else if self.good == PATIENCE {
            (self.scale, self.good) = ((self.scale * 2.0).min(LARGEST), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_halves_the_scale_and_patience_doubles_it() {
        let mut scale = LossScale::default();
        let gradient = |value: f32| vec![Tensor::from_slice(&[value, 1.0])];
        assert!(!scale.undo(&gradient(f32::INFINITY)));
        assert_eq!(scale, LossScale { scale: FIRST / 2.0, good: 0 });
        let fine = gradient(FIRST as f32);
        assert!(scale.undo(&fine));
        assert_eq!(fine[0].double_value(&[0]), 2.0);
        (1..PATIENCE).for_each(|_| scale.moved(true));
        assert_eq!(scale, LossScale { scale: FIRST, good: 0 });
        (0..60).for_each(|_| scale.moved(false));
        assert_eq!(scale.scale, 1.0);
    }
}
