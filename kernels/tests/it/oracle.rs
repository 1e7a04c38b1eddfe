//! The functions and programs beside NumPy itself: dtypes and values, thousands of cases, one Python process.
//!
//! Runs where BLOCKWISE_ORACLE_PYTHON names a Python with NumPy 2 (and ml_dtypes for bfloat16); else passes with a
//! note. Values of functions that NumPy computes exactly must agree in every bit (any NaN is like any other, and so are
//! the two zeros); the others within the ulps of `tolerance`.

use blockwise_kernels::function::{Family, Function, TABLE};
use blockwise_kernels::program::{Argument, Builder, Input, Program, ProgramError, Scratch, Value};
use blockwise_kernels::{Buffer, DType, Scalar, cast};
use num_complex::Complex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

const ELEMENTS: usize = 37;

/// Ulps of complex powers, whose infinite cases are not compared.
const POWER_ULPS: u64 = 20;

/// SplitMix64, so that cases are the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `count` elements; finite ones if `finite`.
    pub(crate) fn numbers(&mut self, dtype: DType, count: usize, finite: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count * dtype.size() {
            let more = self.elements(dtype);
            for item in more.chunks_exact(dtype.size()) {
                let scalar = Scalar::from_bytes(dtype, item).unwrap();
                let mut wide = [0; 16];
                cast(&mut wide, DType::C128, scalar.bytes(), dtype).unwrap();
                let whole =
                    wide.chunks_exact(8).all(|b| f64::from_le_bytes(b.try_into().unwrap()).is_finite());
                if whole || !finite {
                    bytes.extend_from_slice(item);
                }
            }
        }
        bytes.truncate(count * dtype.size());
        bytes
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Ordinary values, small integers, and the odd ones: NaN, infinities, zeros, extremes.
    fn elements(&mut self, dtype: DType) -> Vec<u8> {
        let mut bytes = vec![0; ELEMENTS * dtype.size()];
        for item in bytes.chunks_exact_mut(dtype.size()) {
            let scalar = match dtype.kind() {
                'b' => Scalar::from(self.below(2) == 1),
                'i' | 'u' => {
                    let small = (self.below(41) as i64) - 20;
                    Scalar::from(match self.below(8) {
                        0 => self.next() as i64,
                        1 => 1_i64 << self.below(64),
                        2 => !(1_i64 << self.below(64)),
                        _ if dtype.kind() == 'u' => small.abs(),
                        _ => small,
                    })
                }
                _ => Scalar::from(Complex::new(self.float(), self.float())),
            };
            cast(item, dtype, scalar.bytes(), scalar.dtype()).unwrap();
        }
        bytes
    }

    fn float(&mut self) -> f64 {
        let unit = self.unit();
        match self.below(12) {
            0 => *self.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0]),
            1 => self.below(9) as f64 - 4.0,
            2 => self.below(17) as f64 / 2.0 - 4.0,
            3 => (unit - 0.5) * 2000.0,
            4 => unit * 1e-3,
            _ => (unit - 0.5) * 8.0,
        }
    }
}

/// One case: what is sent to NumPy, and what we make of it.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) ours: Result<(DType, Vec<u8>), String>,
    /// Ulps, and whether they are of a complex number's modulus.
    pub(crate) ulps: u64,
}

enum Line {
    Cast(Value, DType),
    Call(&'static Function, Vec<Argument>),
}

impl Case {
    /// A function along one axis of one array, with its parameters as text.
    pub(crate) fn along(
        name: &str,
        (dtype, bytes): (DType, &[u8]),
        (shape, axis): (&[usize], usize),
        parameters: &str,
        ours: (DType, Vec<u8>),
        ulps: u64,
    ) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let text = format!("input {dtype} {hex}\nalong {name} %0 {shape} {axis} {parameters}\nend\n");
        Self { text, ours: Ok(ours), ulps }
    }

    fn new(inputs: &[(DType, Vec<u8>)], lines: &[Line]) -> Self {
        let mut text = String::new();
        for (dtype, bytes) in inputs {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "input {dtype} {hex}").unwrap();
        }
        for line in lines {
            match line {
                Line::Cast(value, dtype) => writeln!(text, "cast {value} {dtype}").unwrap(),
                Line::Call(function, arguments) => {
                    let name = match function.name {
                        "true_divide" => "divide",
                        name => name,
                    };
                    write!(text, "call {name}").unwrap();
                    for argument in arguments {
                        match argument {
                            Argument::Value(value) => write!(text, " {value}"),
                            Argument::Int(value) => write!(text, " i:{value}"),
                            Argument::Float(value) => write!(text, " f:{}", hexadecimal(*value)),
                            Argument::Complex(value) => write!(text, " c:{}", hexadecimal(value.im)),
                            Argument::Scalar(_) => unreachable!("not drawn"),
                        }
                        .unwrap();
                    }
                    text.push('\n');
                }
            }
        }
        text.push_str("end\n");
        let ulps = lines
            .iter()
            .map(|line| tolerance(line, text.contains("complex") || text.contains(" c:")))
            .max()
            .unwrap_or(0);
        let ours = build(inputs, lines).map(|program| {
            let dtype = program.output_dtypes().next().unwrap();
            let operands: Vec<_> =
                inputs.iter().map(|(dtype, bytes)| Input::contiguous(bytes, *dtype)).collect();
            let mut out = Buffer::zeroed(ELEMENTS * dtype.size());
            program.evaluate(&operands, &[ELEMENTS], &mut [&mut out], &mut Scratch::default()).unwrap();
            (dtype, out.to_vec())
        });
        let ours = ours.map_err(|error| error.to_string());
        Self { text, ours, ulps }
    }
}

/// Values of lines are numbered as NumPy numbers them, whatever the builder shares or folds.
fn build(inputs: &[(DType, Vec<u8>)], lines: &[Line]) -> Result<Program, ProgramError> {
    let mut builder = Builder::new();
    let mut values: Vec<Value> = inputs.iter().map(|(dtype, _)| builder.input(*dtype)).collect();
    for line in lines {
        let value = match line {
            Line::Cast(value, dtype) => builder.cast(values[value.index()], *dtype)?,
            Line::Call(function, arguments) => {
                let arguments: Vec<Argument> = arguments
                    .iter()
                    .map(|argument| match argument {
                        Argument::Value(value) => Argument::Value(values[value.index()]),
                        other => *other,
                    })
                    .collect();
                builder.call(function, &arguments)?
            }
        };
        values.push(value);
    }
    builder.finish(&[*values.last().unwrap()])
}

/// The value of a line before there is a builder.
fn value(number: usize) -> Value {
    let mut builder = Builder::new();
    (0..=number).map(|_| builder.input(DType::F64)).last().unwrap()
}

fn hexadecimal(value: f64) -> String {
    if value.is_nan() || value.is_infinite() {
        return format!("{value}").to_lowercase();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let bits = value.to_bits() & !(1 << 63);
    let (exponent, fraction) = ((bits >> 52) as i64, bits & ((1 << 52) - 1));
    let (lead, power) = if exponent == 0 { (0, -1022) } else { (1, exponent - 1023) };
    format!("{sign}0x{lead}.{fraction:013x}p{power}")
}

/// Ulps by which a result may differ from NumPy's.
fn tolerance(line: &Line, complex: bool) -> u64 {
    let Line::Call(function, _) = line else { return 0 };
    match function.name {
        // NumPy's vector loops for complex numbers fuse multiplications and additions.
        "multiply" | "square" if complex => 1,
        "sqrt" | "deg2rad" | "rad2deg" if !complex => 0,
        // Large exponents cost digits in either implementation.
        "power" if complex => POWER_ULPS,
        "power" | "sinc" | "angle" | "absolute" | "sign" | "reciprocal" => 4,
        _ if matches!(function.family, Family::Exponential | Family::Trigonometric) => 4,
        _ => 0,
    }
}

fn ask(cases: &[Case]) -> Option<Vec<String>> {
    let Ok(python) = std::env::var("BLOCKWISE_ORACLE_PYTHON") else {
        eprintln!("not run: BLOCKWISE_ORACLE_PYTHON names no Python with NumPy 2");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/numpy/oracle.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let text: String = cases.iter().map(|case| case.text.as_str()).collect();
    let mut pipe = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the oracle failed");
    let answers: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), cases.len());
    Some(answers)
}

pub(crate) fn compare(cases: &[Case]) {
    let Some(answers) = ask(cases) else { return };
    let mut faults = BTreeMap::<String, Vec<String>>::new();
    let mut compared = 0;
    for (case, answer) in cases.iter().zip(&answers) {
        let fault = match (&case.ours, answer.as_str()) {
            // NumPy raises for integers to negative integer powers.
            (_, "unknown" | "value") => None,
            (Err(_), "refused") => None,
            (Err(error), _) => Some(format!("NumPy gives {answer:.60}, we refuse: {error}")),
            (Ok((dtype, _)), "refused") => Some(format!("NumPy refuses, we give {dtype}")),
            (Ok((dtype, bytes)), answer) => {
                compared += 1;
                let (name, hex) = answer.split_once(' ').unwrap();
                if name == dtype.name() {
                    difference(*dtype, bytes, hex, case.ulps)
                } else {
                    Some(format!("NumPy gives {name}, we give {dtype}"))
                }
            }
        };
        if let Some(fault) = fault {
            let lines: Vec<String> = case.text.lines().map(|line| format!("{line:.60}")).collect();
            let call = case.text.lines().rev().nth(1).unwrap_or_default().to_owned();
            let list = faults.entry(call.split(' ').nth(1).unwrap_or_default().to_owned()).or_default();
            list.push(format!("{}\n  => {fault}", lines.join("\n  ")));
        }
    }
    let first: Vec<String> = faults.values().flat_map(|faults| faults.iter().take(3).cloned()).collect();
    assert!(
        faults.is_empty(),
        "of {} cases differ {}:\n{}",
        cases.len(),
        faults.values().map(Vec::len).sum::<usize>(),
        first.join("\n")
    );
    assert!(compared > cases.len() / 3, "only {compared} of {} cases had values", cases.len());
}

fn difference(dtype: DType, ours: &[u8], hex: &str, ulps: u64) -> Option<String> {
    let theirs: Vec<u8> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    if ours.len() != theirs.len() {
        return Some(format!("{} bytes beside {}", theirs.len(), ours.len()));
    }
    let size = dtype.size();
    for (place, (a, b)) in ours.chunks_exact(size).zip(theirs.chunks_exact(size)).enumerate() {
        let same = a == b
            || match dtype {
                DType::F16 => close(
                    dtype,
                    &[half::f16::from_le_bytes([a[0], a[1]]).to_f64()],
                    &[half::f16::from_le_bytes([b[0], b[1]]).to_f64()],
                    ulps.min(1),
                ),
                DType::BF16 => close(
                    dtype,
                    &[half::bf16::from_le_bytes([a[0], a[1]]).to_f64()],
                    &[half::bf16::from_le_bytes([b[0], b[1]]).to_f64()],
                    ulps.min(1),
                ),
                DType::F32 | DType::F64 | DType::C64 | DType::C128 => {
                    close(dtype, &doubles(dtype, a), &doubles(dtype, b), ulps)
                }
                _ => false,
            };
        if !same {
            let show = |bytes: &[u8]| {
                Scalar::from_bytes(dtype, bytes).map_or_else(|| format!("{bytes:?}"), |s| s.to_string())
            };
            return Some(format!("element {place}: NumPy has {}, we have {}", show(b), show(a)));
        }
    }
    None
}

fn doubles(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    if matches!(dtype, DType::F32 | DType::C64) {
        bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
    } else {
        bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

/// Whether the numbers differ by at most `ulps` units of the largest part's last place (16 times that for complex
/// numbers, whose functions lose digits in either implementation).
fn close(dtype: DType, a: &[f64], b: &[f64], ulps: u64) -> bool {
    let digits = match dtype {
        DType::F16 => 10,
        DType::BF16 => 7,
        DType::F32 | DType::C64 => 23,
        _ => 52,
    };
    let ulps = if dtype.kind() == 'c' { 16 * ulps } else { ulps };
    // Parts beside an infinite or undefined one differ between C libraries: one odd part makes all odd.
    if ulps > 0 && dtype.kind() == 'c' && a.iter().any(|x| !x.is_finite()) {
        return ulps >= 16 * POWER_ULPS || b.iter().any(|x| !x.is_finite());
    }
    let size = a.iter().chain(b).filter(|x| x.is_finite()).fold(0.0_f64, |m, x| m.max(x.abs()));
    let smallest = match dtype {
        DType::F32 | DType::C64 => f64::from(f32::from_bits(1)),
        DType::F16 => 2.0_f64.powi(-24),
        _ => f64::from_bits(1),
    };
    let unit = (size * 2.0_f64.powi(-digits)).max(smallest);
    a.iter().zip(b).all(|(x, y)| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= unit * ulps as f64)
}

/// Every function for every dtype, and for pairs every two dtypes and every plain number.
#[test]
fn every_function_agrees_with_numpy() {
    let mut dice = Dice(1);
    let mut cases = Vec::new();
    for function in TABLE {
        let mut add = |dtypes: &[DType], plain: Option<Argument>| {
            let inputs: Vec<_> = dtypes.iter().map(|dtype| (*dtype, dice.elements(*dtype))).collect();
            let mut arguments: Vec<Argument> = (0..dtypes.len()).map(|n| value(n).into()).collect();
            arguments.extend(plain);
            cases.push(Case::new(&inputs, &[Line::Call(function, arguments)]));
        };
        for &a in DType::ALL {
            match function.arity {
                1 => add(&[a], None),
                2 if function.name == "round" => {
                    for decimals in [-2_i64, -1, 0, 1, 3] {
                        if a != DType::Bool {
                            add(&[a], Some(decimals.into()));
                        }
                    }
                }
                2 => {
                    for &b in DType::ALL {
                        add(&[a, b], None);
                    }
                    add(&[a], Some(Argument::Int(3)));
                    add(&[a], Some(Argument::Int(2)));
                    add(&[a], Some(Argument::Int(-300)));
                    add(&[a], Some(Argument::Float(0.5)));
                    add(&[a], Some(Argument::Complex(Complex::new(0.0, 1.5))));
                }
                _ => {
                    for &b in DType::ALL {
                        add(&[a, b, a], None);
                        add(&[b, a, b], None);
                    }
                }
            }
        }
    }
    cases.retain(|case| !known_difference(&case.text));
    compare(&cases);
}

/// What is documented to differ, or that NumPy itself does in two ways.
fn known_difference(text: &str) -> bool {
    let has = |word: &str| text.contains(word);
    // ml_dtypes widens with plain floats and refuses wide integers in some functions.
    let brain = has("bfloat16")
        && (has(" f:") || has("call sinc") || has("call ldexp") || has("call where") || has("call clip"));
    // Doubles beyond uint32 convert differently in NumPy's vector and scalar loops.
    let unsigned = has("uint32") && has("call round %0 i:-");
    let clipped = has("call clip") && has("input complex");
    // A power's angle is the exponent times the base's: huge exponents leave no digit of it.
    let wide = ["input int32", "input int64", "input uint32", "input uint64"].iter().any(|word| has(word));
    let turning = has("call power") && has("input complex") && wide;
    brain || unsigned || clipped || turning || (has("call angle") && has("input bool"))
}

/// Chains of functions that NumPy computes exactly, now and then ended by another one.
#[test]
fn random_programs_agree_with_numpy() {
    let mut dice = Dice(2);
    let exact: Vec<&Function> = TABLE
        .iter()
        .filter(|f| tolerance(&Line::Call(f, Vec::new()), false) == 0)
        .filter(|f| !matches!(f.name, "round" | "reciprocal" | "spacing" | "ldexp" | "clip"))
        .collect();
    let ends: Vec<&Function> =
        TABLE.iter().filter(|f| !matches!(f.name, "round" | "angle" | "clip")).collect();
    let kinds: Vec<DType> =
        DType::ALL.iter().copied().filter(|d| *d != DType::BF16 && d.kind() != 'c').collect();
    let mut cases = Vec::new();
    while cases.len() < 2000 {
        let inputs: Vec<_> = (0..=dice.below(3))
            .map(|_| {
                let dtype = *dice.pick(&kinds);
                (dtype, dice.elements(dtype))
            })
            .collect();
        let mut lines = Vec::new();
        let length = 2 + dice.below(9);
        for step in 0..length {
            let known = inputs.len() + step;
            // Mostly the last values, so that chains are long.
            let any = |dice: &mut Dice| {
                value(if dice.below(3) == 0 {
                    dice.below(known)
                } else {
                    known - 1 - dice.below(known.min(2))
                })
            };
            if dice.below(8) == 0 {
                let (from, to) =
                    (any(&mut dice), *dice.pick(&[DType::F32, DType::F64, DType::F16, DType::Bool]));
                lines.push(Line::Cast(from, to));
                continue;
            }
            let last = step + 1 == length && dice.below(4) == 0;
            let function = *dice.pick(if last { &ends } else { &exact });
            let mut arguments: Vec<Argument> = (0..function.arity).map(|_| any(&mut dice).into()).collect();
            if function.arity == 2 && dice.below(3) == 0 {
                let plain =
                    [Argument::Int(dice.below(7) as i128), Argument::Float(dice.below(9) as f64 / 4.0)];
                let at = dice.below(2);
                arguments[at] = *dice.pick(&plain);
            }
            lines.push(Line::Call(function, arguments));
        }
        let case = Case::new(&inputs, &lines);
        // Refused ones are tried above; here they only take room.
        if case.ours.is_ok() {
            cases.push(case);
        }
    }
    compare(&cases);
}
