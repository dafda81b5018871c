//! Whether anything grows.

use crate::wire::Held;

/// What the server's process held, from time to time.
#[derive(Debug, Default)]
pub struct Slope(Vec<[f64; 3]>);

const NAMES: [&str; 3] = ["resident KiB", "descriptors", "tasks"];

impl Slope {
    pub fn add(&mut self, held: &Held) {
        let kilobytes = held.resident_bytes as f64 / 1024.0;
        self.0
            .push([kilobytes, held.descriptors as f64, held.tasks as f64]);
    }

    /// The means of the middle third and of the last.
    fn thirds(&self, what: usize) -> (f64, f64) {
        let third = self.0.len() / 3;
        let mean = |part: &[[f64; 3]]| {
            part.iter().map(|held| held[what]).sum::<f64>() / part.len().max(1) as f64
        };
        (mean(&self.0[third..2 * third]), mean(&self.0[2 * third..]))
    }

    pub fn print(&self) {
        for (what, name) in NAMES.iter().enumerate() {
            let (middle, last) = self.thirds(what);
            println!("{name}: {middle:.0} in the middle third, {last:.0} in the last");
        }
    }

    /// Whether memory has grown by more than a tenth. The first third is the warm-up. Descriptors
    /// and tasks go up and down with the load of the machine: those have to be gone at the end.
    pub fn memory_has_grown(&self) -> Option<String> {
        let (middle, last) = self.thirds(0);
        let grown = last > middle * 1.1;
        grown.then(|| format!("memory grows: {middle:.0} KiB, then {last:.0} KiB"))
    }
}
