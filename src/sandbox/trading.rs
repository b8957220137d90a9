//! The sandbox's trading side.

mod signing;
