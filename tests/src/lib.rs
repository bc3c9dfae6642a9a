//! What whole-system tests share: a real browser. It holds no product code, and no assertion about speed.

pub mod chromium;
