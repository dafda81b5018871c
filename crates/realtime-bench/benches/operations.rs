//! The single steps of the hot path: `cargo bench -p realtime-bench --bench operations`.

use divan::{AllocProfiler, Bencher, black_box};
use realtime_bench::operations;

/// Counts what an operation allocates, too.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = operations::NAMES, consts = [128, 1024])]
fn operation<const SIZE: usize>(bencher: Bencher<'_, '_>, name: &str) {
    if let Some(mut operation) = operations::prepare(name, SIZE) {
        bencher.bench_local(|| black_box(&mut operation).once());
    }
}
