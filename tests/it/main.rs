//! Integration tests, one module per story or failure mode.

#[cfg(test)]
mod recorded;
