//! Groups of words of a plan, each with its decoder.

pub(crate) mod action;
pub(crate) mod shared;
pub(crate) mod work;
