//! Generated kernels run on the CPU under sanitizers, beside the CPU back end.

use crate::host::{build, compiler, run};
use crate::suite::{Case, Generated, Suite};
use blockwise_gpu::Error;
use blockwise_gpu::jit::reduction::{self, Cells};
use blockwise_gpu::jit::{Form, Operand, elementwise};
use blockwise_kernels::DType;
use blockwise_kernels::program::{Builder, Program};
use blockwise_kernels::reduce::{Reducer, Reduction};

#[test]
fn kernels_compute_what_the_cpu_computes() {
    let suite = Suite::new();
    println!("{} kernels, {} calls", suite.kernels.len(), suite.cases.len());
    assert!(suite.kernels.len() > 400 && suite.cases.len() > 700);
    let Some(compiler) = compiler() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = build(&compiler, folder.path(), &suite.kernels, |text| text);
    let results = run(&program, &suite.kernels, &suite.cases).unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for (case, results) in suite.cases.iter().zip(&results) {
        if let Err(why) = (case.check)(results) {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    let some: Vec<&str> = wrong.iter().take(10).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {} calls differ:\n{}", wrong.len(), results.len(), some.join("\n"));
}

/// The calls of one kind, with the kernels they need alone.
fn only(wanted: impl Fn(&Case) -> bool) -> (Vec<Generated>, Vec<Case>) {
    let mut suite = Suite::new();
    suite.cases.retain(|case| !case.steps.is_empty() && wanted(case));
    suite.cases.truncate(1);
    let mut used: Vec<usize> = suite.cases[0].steps.iter().map(|step| step.kernel).collect();
    used.sort_unstable();
    used.dedup();
    for step in &mut suite.cases[0].steps {
        step.kernel = used.iter().position(|kernel| *kernel == step.kernel).unwrap();
    }
    let mut kernels: Vec<Option<Generated>> = suite.kernels.into_iter().map(Some).collect();
    let kernels = used.drain(..).map(|kernel| kernels[kernel].take().unwrap()).collect();
    (kernels, suite.cases)
}

#[test]
fn a_missing_barrier_and_a_write_beyond_the_end_are_found() {
    let Some(compiler) = compiler() else { return };
    let (kernels, cases) = only(|case| case.name.contains("Sum") && case.name.contains("int32, skip false"));
    let folder = tempfile::tempdir().unwrap();
    let no_barriers = |text: String| text.replace("__syncthreads();", "");
    let program = build(&compiler, folder.path(), &kernels, no_barriers);
    let results = run(&program, &kernels, &cases).unwrap();
    assert!((cases[0].check)(&results[0]).is_err());

    let (kernels, cases) = only(|case| case.name == "window of 90");
    let program = build(&compiler, folder.path(), &kernels, no_barriers);
    let results = run(&program, &kernels, &cases).unwrap();
    assert!((cases[0].check)(&results[0]).is_err());

    let (kernels, mut cases) = only(|case| case.name == "multiply");
    let program = build(&compiler, folder.path(), &kernels, |text| text);
    let results = run(&program, &kernels, &cases).unwrap();
    assert_eq!((cases[0].check)(&results[0]), Ok(()));
    cases[0].memory.last_mut().unwrap().len -= 1;
    let said = run(&program, &kernels, &cases).unwrap_err();
    assert!(said.contains("heap-buffer-overflow"), "{said}");
}

fn one_call(function: &str, dtype: DType, number: f64) -> Program {
    let mut builder = Builder::new();
    let x = builder.input(dtype);
    let value = builder.call_named(function, &[x.into(), number.into()]).unwrap();
    builder.finish(&[value]).unwrap()
}

#[test]
fn texts_follow_from_structure_alone() {
    let form = |len: usize| Form::new(&[len], &[Operand::default()], true).unwrap();
    let text = |number: f64, len: usize| {
        elementwise::generate(&one_call("multiply", DType::F32, number), &form(len)).unwrap().0.source()
    };
    assert_eq!(text(2.0, 10), text(3.0, 5000));
    let unaligned = Form::new(&[10], &[Operand::default()], false).unwrap();
    let other = elementwise::generate(&one_call("multiply", DType::F32, 2.0), &unaligned).unwrap().0;
    assert!(text(2.0, 10).contains("(const Pack<f32, 4> *)") && !other.named("k").contains("Pack<"));
}

#[test]
fn what_kernels_cannot_do_is_refused_by_name() {
    let form = Form::new(&[10], &[Operand::default()], true).unwrap();
    let complex = one_call("multiply", DType::C64, 2.0);
    let refused = elementwise::generate(&complex, &form).unwrap_err();
    assert!(matches!(refused, Error::Type { dtype: DType::C64 }), "{refused}");

    let mut builder = Builder::new();
    let x = builder.input(DType::F64);
    let program = builder.finish(&[x]).unwrap();
    let cells = Cells::new(&[10], &[0]).unwrap();
    let reduce = |reduction: Reduction| reduction::generate(&program, &form, &cells, &[reduction]);
    let product = reduce(Reduction::new(Reducer::Product, DType::F64, false).unwrap()).unwrap_err();
    assert!(product.to_string().contains("Product"), "{product}");
    let exact = reduce(Reduction::new(Reducer::Sum, DType::F64, false).unwrap().exact()).unwrap_err();
    assert!(exact.to_string().contains("exact"), "{exact}");
    let uncast = reduce(Reduction::new(Reducer::Sum, DType::F32, false).unwrap()).unwrap_err();
    assert!(matches!(uncast, Error::TileType { output: 0, .. }), "{uncast}");
    assert!(matches!(Cells::new(&[2, 3, 4], &[0, 2]), Err(Error::Reducer { .. })));
    assert!(Cells::new(&[2, 1, 4], &[0, 2]).is_ok());
    assert!(matches!(
        elementwise::generate(&program, &Form::new(&[10], &[], true).unwrap()),
        Err(Error::Count { .. })
    ));
}
