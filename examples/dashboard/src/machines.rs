//! What stands for measurements: the load of some machines, the same at the same time in each run.

use std::f64::consts::TAU;

/// How many machines there are.
pub(crate) const MACHINES: usize = 24;

/// The load of each, in percent, so many seconds after the start.
pub(crate) fn loads(seconds: f64) -> [f32; MACHINES] {
    std::array::from_fn(|machine| {
        let machine = machine as f64;
        // All have the day's tide; each has a swell of its own, and trembles.
        let tide = 16.0 * wave(seconds, 23.0, 0.0);
        let swell = 15.0 * wave(seconds, 6.0 + machine * 0.4, machine * 0.37);
        let tremor = 4.0 * wave(seconds, 0.7 + machine * 0.05, machine * 0.61);
        let burst = 22.0 * wave(seconds, 17.0, machine / 24.0).powi(15).max(0.0);
        let load = 46.0 + machine % 5.0 + tide + swell + tremor + burst;
        tenths(load.clamp(0.0, 100.0))
    })
}

/// One decimal is all that a page shows.
pub(crate) fn tenths(value: f64) -> f32 {
    ((value * 10.0).round() / 10.0) as f32
}

/// From -1 to 1, over so many seconds; `phase` is in turns.
fn wave(seconds: f64, period: f64, phase: f64) -> f64 {
    (TAU * (seconds / period + phase)).sin()
}
