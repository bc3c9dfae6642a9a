//! Numbers on a GPU, each tensor with a pinned twin on the host through which it is filled and read.
//!
//! Pinned memory moves at the speed of the bus and without a hidden copy. The largest tensors of a reconstruction are
//! pictures and tokens of 0.8 to 3.1 MB (257 x 768, and 3 x 512 x 512 numbers), so that all twins together take a few
//! tens of megabytes.

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DriverError, PinnedHostSlice};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory of one tensor on a GPU.
pub(crate) struct DeviceMemory {
    device: usize,
    numbers: CudaSlice<f32>,
    /// Locked because a download fills it, and only borrows the buffer.
    staging: Mutex<PinnedHostSlice<f32>>,
}

impl std::fmt::Debug for DeviceMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers on cuda:{}", self.numbers.len(), self.device)
    }
}

impl DeviceMemory {
    /// `count` zeros. A tensor without elements gets one number, because drivers refuse to allocate nothing.
    pub(super) fn zeros(device: usize, stream: &Arc<CudaStream>, count: usize) -> Result<Self, DriverError> {
        let count = count.max(1);
        let numbers = stream.alloc_zeros(count)?;
        Ok(Self { device, numbers, staging: Mutex::new(pinned(stream, count)?) })
    }

    /// Number of the GPU.
    pub(crate) fn device(&self) -> usize {
        self.device
    }

    /// Waits only for the former transfer of this tensor, whose numbers are still in the pinned twin.
    pub(super) fn upload(&mut self, stream: &Arc<CudaStream>, values: &[f32]) -> Result<(), DriverError> {
        let staging = self.staging.get_mut().unwrap_or_else(PoisonError::into_inner);
        staging.as_mut_slice()?[..values.len()].copy_from_slice(values);
        stream.memcpy_htod(&*staging, &mut self.numbers)
    }

    pub(super) fn download(&self, stream: &Arc<CudaStream>, values: &mut [f32]) -> Result<(), DriverError> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        stream.memcpy_dtoh(&self.numbers, &mut *staging)?;
        values.copy_from_slice(&staging.as_slice()?[..values.len()]);
        Ok(())
    }

    pub(super) fn copy_of(&mut self, stream: &Arc<CudaStream>, from: &Self) -> Result<(), DriverError> {
        stream.memcpy_dtod(&from.numbers, &mut self.numbers)
    }

    /// Address on the GPU, for a library that reads it on the engine's stream.
    pub(crate) fn address(&self) -> *mut c_void {
        let stream = self.numbers.stream();
        let (address, _ordered_by_the_one_stream) = self.numbers.device_ptr(stream);
        address as *mut c_void
    }

    /// The same, for a library that writes it there.
    pub(crate) fn address_mut(&mut self) -> *mut c_void {
        let stream = Arc::clone(self.numbers.stream());
        let (address, _ordered_by_the_one_stream) = self.numbers.device_ptr_mut(&stream);
        address as *mut c_void
    }
}

fn pinned(stream: &Arc<CudaStream>, count: usize) -> Result<PinnedHostSlice<f32>, DriverError> {
    #[expect(unsafe_code, reason = "pinned memory is handed out uninitialised")]
    // SAFETY: every bit pattern is a valid f32, and each number is written (by an upload or a transfer) before it is read.
    unsafe {
        stream.context().alloc_pinned_with_flags(count, 0)
    }
}
