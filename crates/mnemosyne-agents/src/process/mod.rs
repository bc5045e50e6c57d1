//! What `/proc` knows about processes: who they are, whose children, whose cookie.

pub mod cookie;
pub mod identity;
pub mod stat;
pub mod table;
