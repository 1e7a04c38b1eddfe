//! What expressions mean, what is refused where, and that no text panics.

use super::*;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, ChunkGrid, DType, Session};
use blockwise_kernels::Element;
use proptest::prelude::*;
use std::sync::Arc;

/// 0 to 23 as 4 x 6 in chunks of 3 x 2, dimensions `y` and `x`.
fn numbers<T: Element>(of: impl Fn(u8) -> T) -> Labelled {
    let elements: Vec<T> = (0..24).map(of).collect();
    let grid = ChunkGrid::regular(&[4, 6], &[3, 2]).unwrap();
    let array = Array::from_source(Arc::new(MemoryArray::from_elements("x", grid, &elements).unwrap()));
    Labelled::from(array.with_names(&["y", "x"]).unwrap())
}

fn inputs() -> Vec<(String, Labelled)> {
    vec![
        ("x".to_owned(), numbers(f64::from)),
        ("i".to_owned(), numbers(i32::from)),
        ("s".to_owned(), numbers(f32::from)),
    ]
}

fn last(text: &str) -> Result<Labelled, ExpressionError> {
    let results = Expression::parse(text)?.evaluate(&inputs())?;
    Ok(results.into_iter().last().unwrap().value)
}

fn elements<T: Element>(text: &str) -> (Vec<u64>, Vec<T>) {
    let array = last(text).unwrap_or_else(|error| panic!("{text}: {error}")).array;
    let values = Session::with_budget(1 << 24).compute::<T>(&array).unwrap();
    (array.shape(), values.into_raw_vec_and_offset().0)
}

fn scalar(text: &str) -> f64 {
    elements::<f64>(text).1[0]
}

fn refusal(text: &str) -> (usize, String) {
    let error = last(text).expect_err(text);
    (error.column, error.message)
}

#[test]
fn precedence_is_pythons() {
    for (text, wanted) in [
        ("2 ** 3 ** 2 * 1.0", 512.0),
        ("-2 ** 2 * 1.0", -4.0),
        ("2 ** -1", 0.5),
        ("-7 // 2 * 1.0", -4.0),
        ("1.0 * (1 + 2 * 3 % 4)", 3.0),
        ("1.0 * (1 | 2 ^ 3 & 2)", 1.0),
        ("1.0 * (1 << 2 + 1)", 8.0),
        ("sum(x[0] * 2 - 1 < 3)*1.0", 2.0),
        ("x[-1, -1] - x[0, 1] / 2", 22.5),
        ("+-+x[0, 3]", -3.0),
        ("x.T[1, 2] ** 2.0", 169.0),
        ("(x + 1).sum() / x.size", 12.5),
    ] {
        assert_eq!(scalar(text), wanted, "{text}");
    }
}

#[test]
fn slices_new_axes_and_lists() {
    assert_eq!(elements::<i32>("i[::-2, 1:3]"), (vec![2, 2], vec![19, 20, 7, 8]));
    assert_eq!(elements::<i32>("i[..., None, -1]").0, [4, 1]);
    assert_eq!(elements::<i32>("i[1, newaxis, 2:-2:]"), (vec![1, 2], vec![8, 9]));
    assert_eq!(elements::<i32>("i[:, [5, 0]][0]").1, [5, 0]);
    assert_eq!(elements::<i32>("i[i.shape[0] - 1, i.ndim]").1, [20]);
    assert_eq!(elements::<i64>("[[1, 2], [3, 4]] + i[:2, :2]").1, [1, 3, 9, 11]);
}

#[test]
fn calls_methods_and_names() {
    assert_eq!(elements::<f64>("x.astype('float32').mean('y', keepdims=True).astype(float64)").0, [1, 6]);
    assert_eq!(elements::<f64>("np.mean(x, axis=(0, 'x'))").1, [11.5]);
    assert_eq!(elements::<i32>("clip(i, 3, max=5)[0]").1, [3, 3, 3, 3, 4, 5]);
    assert_eq!(elements::<i32>("where(i > 20, i, -1)[3]").1, [-1, -1, -1, 21, 22, 23]);
    assert_eq!(scalar("a = x * 2; b = a[1:] - a[:-1]; mean(b) + np.pi - pi"), 12.0);
    assert_eq!(scalar("average(x, axis='x', weights=[0, 0, 1, 1, 0, 0])[1]"), 8.5);
    assert_eq!(elements::<i32>("diff(i, n=2, axis=0)[0]").1, [0; 6]);
    assert_eq!(elements::<bool>("allclose(x, x + 1e-9)").1, [true]);
    assert_eq!(elements::<i32>("rot90(i)").1[..2], [5, 11]);
    assert_eq!(elements::<i32>("roll(i, 1, 'x')[0]").1, [5, 0, 1, 2, 3, 4]);
    assert_eq!(elements::<i32>("pad(i[:1, :2], ((0, 1), (1, 0)), constant_values=9)").1, [9, 0, 1, 9, 9, 9]);
    assert_eq!(elements::<f64>("sqrt(2)").1, [2.0_f64.sqrt()]);
    assert_eq!(elements::<i32>("concatenate([i[:1], i[-1:]])[1]").1[0], 18);
}

#[test]
fn dtypes_are_numpys() {
    for (text, dtype) in [
        ("s + 1.5", DType::F32),
        ("s + 1.5j", DType::C64),
        ("i + 1", DType::I32),
        ("i / 2", DType::F64),
        ("i.astype('uint8') + 200", DType::U8),
        ("i + True", DType::I32),
        ("s * sqrt(2)", DType::F64),
        ("s * float32(2)", DType::F32),
        ("i > 3", DType::Bool),
        ("sum(i)", DType::I64),
        ("mean(s)", DType::F32),
        ("mean(i, dtype='float32')", DType::F32),
        ("zeros((2, 3))", DType::F64),
        ("ones_like(s)", DType::F32),
        ("arange(3)", DType::I64),
        ("1 + 2", DType::I64),
    ] {
        assert_eq!(last(text).unwrap().array.dtype(), dtype, "{text}");
    }
}

#[test]
fn faults_name_their_column() {
    for (text, column, word) in [
        ("x + ", 5, "the end"),
        ("x +* 2", 4, "'*'"),
        ("mean(x, axis=7)", 1, "axis 7"),
        ("mean(x, axes=0)", 9, "axes"),
        ("mean(x, 0, keepdims=1)", 12, "True or False"),
        ("1 + y", 5, "'y'"),
        ("x < 2 < 3", 7, "chained"),
        ("x and 1", 3, "&"),
        ("x @ i", 3, "matmul"),
        ("2 @ 3", 3, "matrices"),
        ("nosuch(x)", 1, "arrayctl functions"),
        ("meen(x)", 1, "no function"),
        ("nanmena(x)", 1, "do you mean nanmean"),
        ("sqrt", 1, "function"),
        ("x(2)", 1, "not a function"),
        ("x[9]", 2, "position 9"),
        ("x[1.5]", 3, "index"),
        ("x + i[:3]", 3, "broadcast"),
        ("i ** -1", 3, "negative"),
        ("i.astype(uint8) + 300", 17, "300"),
        ("1 / 0", 3, "zero"),
        ("x.nosuch", 3, "attribute"),
        ("'a' + x", 5, "a text"),
        ("(x", 3, "')'"),
        ("None = x", 1, "None"),
        ("", 1, "no expression"),
        ("transpose(x, 0)", 1, "axes"),
    ] {
        let (found, message) = refusal(text);
        assert!(message.contains(word), "{text}: {message}");
        assert_eq!(found, column, "{text}: {message}");
    }
}

#[test]
fn depth_is_bounded() {
    let long = vec!["x"; 5000].join("+");
    assert!(refusal(&long).1.contains("deep"));
    assert!(refusal(&"(".repeat(100_000)).1.contains("deep"));
    assert!(refusal(&format!("{}x", "-".repeat(100_000))).1.contains("deep"));
    let chain: String = (1..400).map(|n| format!("a{n} = a{} + 1;", n - 1)).collect();
    assert!(refusal(&format!("a0 = x; {chain} a399")).1.contains("deep"));
    // As deep as is allowed, it does run.
    assert_eq!(scalar(&format!("max({})", vec!["x"; 240].join("+"))), 23.0 * 240.0);
}

#[test]
fn free_names_are_those_that_nothing_gives() {
    let expression = Expression::parse("a = u * v; b = a + np.sqrt(w[k:]); b.mean('t')").unwrap();
    assert_eq!(expression.free_names(), ["u", "v", "np", "w", "k"]);
}

#[test]
fn coordinates_follow_their_elements() {
    let lon = Array::from_fn(&[6], |at| at[0] as f64 * 10.0).unwrap();
    let mut x = numbers(f64::from);
    x.coordinates.push(Coordinate::new("x", "lon", lon));
    let evaluate = |text: &str| {
        let results = Expression::parse(text).unwrap().evaluate(&[("x".to_owned(), x.clone())]).unwrap();
        let value = results.into_iter().last().unwrap().value;
        value.coordinates.first().map(|coordinate| {
            Session::with_budget(1 << 20)
                .compute::<f64>(&coordinate.array)
                .unwrap()
                .into_raw_vec_and_offset()
                .0
        })
    };
    assert_eq!(evaluate("x.mean('y') * 2 + x[1]"), Some(vec![0.0, 10.0, 20.0, 30.0, 40.0, 50.0]));
    assert_eq!(evaluate("sqrt(x.T)[::-2]"), Some(vec![50.0, 30.0, 10.0]));
    assert_eq!(evaluate("flip(x)[..., :2]"), Some(vec![50.0, 40.0]));
    assert_eq!(evaluate("x.mean('x')"), None);
    assert_eq!(evaluate("x[:, 1:] - x[:, :-1]"), None);
    assert_eq!(evaluate("roll(x, 1, 'x')"), None);
}

/// 3 x 3 with dimensions `lat` and `lon`, its first row, both with latitudes, and those turned round as `flipped` has them.
fn maps() -> Vec<(String, Labelled)> {
    let line = |of: fn(f64) -> f64| Array::from_fn(&[3], move |at| of(at[0] as f64)).unwrap();
    let field = Array::from_fn(&[3, 3], |at| (at[0] * 3 + at[1]) as f64).unwrap();
    let map = |origin: &str, latitudes: Array| {
        let mut map = Labelled::from(field.with_names(&["lat", "lon"]).unwrap());
        map.coordinates.push(Coordinate::new("lat", origin, latitudes));
        map
    };
    let weights = Labelled::from(line(|at| at + 1.0).with_names(&["lat"]).unwrap());
    let single = line(|at| 0.1 * at).astype(DType::F32);
    vec![
        ("t".to_owned(), map("a.nc::lat", line(|at| 0.1 * at))),
        ("same".to_owned(), map("b.nc::lat", single)),
        ("flipped".to_owned(), map("c.nc::lat", line(|at| 0.2 - 0.1 * at))),
        ("w".to_owned(), weights),
    ]
}

fn of_maps(text: &str) -> Result<Labelled, ExpressionError> {
    Ok(Expression::parse(text)?.evaluate(&maps())?.into_iter().last().unwrap().value)
}

#[test]
fn dimensions_of_other_names_do_not_meet() {
    for text in ["t * w", "t + t.T", "where(w > 1, t, 0)", "hypot(w, t)"] {
        let message = of_maps(text).expect_err(text).message;
        assert!(message.contains("'lat'") && message.contains("unlabelled"), "{text}: {message}");
    }
    for text in [
        "t * w[:, newaxis]",
        "t * expand_dims(w, -1)",
        "t * unlabelled(w)",
        "t + unlabelled(t.T)",
        "t[:, :1] * w",
    ] {
        of_maps(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn coordinates_of_other_values_do_not_meet() {
    let message = of_maps("t - flipped").unwrap_err().message;
    for word in ["'lat'", "position 0 is 0", "a.nc::lat", "c.nc::lat"] {
        assert!(message.contains(word), "{message}");
    }
    assert!(of_maps("t - unlabelled(flipped)").unwrap().coordinates.len() == 1);
    assert!(of_maps("t[1:] - t[:-1]").unwrap().coordinates.is_empty(), "of one origin: meant so");
    // The same latitudes in single precision: the result has them.
    assert_eq!(&*of_maps("t - same").unwrap().coordinates[0].origin, "a.nc::lat");
    assert!(of_maps("t - flipped[::-1]").is_ok());
    // What was put together has the coordinates of its parts, in their order.
    assert!(of_maps("concatenate([t[:1], t[1:]]) - same").is_ok());
    let message = of_maps("concatenate([t[1:], t[:1]]) - same").unwrap_err().message;
    assert!(message.contains("position 0 is 0.1"), "{message}");
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"[xis0-9 .,:;()\[\]+*/%&|^~<>='"_jeNa@!-]{0,40}"#) {
        let _ = last(&text);
    }

    #[test]
    fn no_row_of_words_panics(words in proptest::collection::vec(
        prop_oneof![
            Just("x"), Just("i"), Just("("), Just(")"), Just("["), Just("]"), Just(","), Just(":"), Just("**"),
            Just("+"), Just("-"), Just("~"), Just("<"), Just("2"), Just("1.5"), Just("0"), Just("None"), Just("..."),
            Just("mean("), Just("where("), Just(".T"), Just(".astype('u1')"), Just("axis="), Just("'x'"), Just("="),
            Just(";"), Just("pad("), Just("transpose("), Just("10000000000000000000"), Just("<<"), Just("take("),
            Just("arange("), Just("clip("), Just("broadcast_to("), Just("tile("), Just("diff("),
        ],
        0..14,
    )) {
        let _ = last(&words.concat());
    }
}
