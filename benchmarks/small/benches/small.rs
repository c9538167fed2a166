//! Times of small hot operations. On a machine with other work they say little; instructions are counted by `scripts/instructions.sh`.

use array_format_small_operations::CASES;
use criterion::{Criterion, criterion_group, criterion_main};

fn small(c: &mut Criterion) {
    for case in CASES {
        let mut operation = (case.prepare)().expect("preparing works");
        c.bench_function(case.name, |b| b.iter(|| operation().expect("the operation works")));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = small
}
criterion_main!(benches);
