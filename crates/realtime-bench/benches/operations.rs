//! The single steps of the hot path: `cargo bench -p realtime-bench`.

use divan::{AllocProfiler, Bencher, black_box};
use realtime_bench::operations;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = operations::NAMES, consts = [128, 1024])]
fn operation<const SIZE: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let mut operation = operations::prepare(name, SIZE).expect("it is one of the names");
    bencher.bench_local(|| black_box(&mut operation).once());
}
