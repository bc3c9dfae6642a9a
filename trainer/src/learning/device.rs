//! Where tensors live: the processor, or a CUDA device that is there.

use crate::TrainError;
use tch::{Cuda, Device};

/// The device called `name`: `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`TrainError::Flag`] for another name, [`TrainError::Unavailable`] for a CUDA device that is not there.
pub fn device(name: &str) -> Result<Device, TrainError> {
    let number = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        other => other.strip_prefix("cuda:").and_then(|number| number.parse::<usize>().ok()),
    };
    let Some(number) = number else {
        let message = format!("must be cpu, cuda or cuda:N, found `{name}`");
        return Err(TrainError::Flag { flag: "--device", message });
    };
    let there = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if !Cuda::is_available() || number >= there {
        let what = format!("device `{name}` is not there ({there} CUDA devices)");
        let remedy = "train on cpu, or build against the libtorch of a PyTorch with CUDA (trainer/README.md)".into();
        return Err(TrainError::Unavailable { what, remedy });
    }
    Ok(Device::Cuda(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_obeyed_or_refused() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        assert!(matches!(device("gpu"), Err(TrainError::Flag { .. })));
        assert!(matches!(device("cuda:99"), Err(TrainError::Unavailable { .. })));
    }
}
