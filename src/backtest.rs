//! The live step on recorded data with a simulated clock.
