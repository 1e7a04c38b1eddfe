//! HDF5 and NetCDF-4 files as h5py, netCDF4 and xarray read them back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use crate::oracle;
use blockwise_core::region::{byte_count, element_count};
use blockwise_core::{Cancellation, Chunk, Sink, TaskContext};
use blockwise_io::attribute::{AttributeValue, Attributes};
use blockwise_io::container::{BloscShuffle, Compressor};
use blockwise_io::hdf5_write::Hdf5Writer;
use blockwise_io::{ArraySpec, CodecSpec, ContainerWriter, ElementType, Error, Format, GroupInfo, TextArray};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{BufferPool, DType, Scalar};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::path::Path;

const PLAIN: CodecSpec = CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false };

fn deflate(level: u32) -> CodecSpec {
    CodecSpec { compressor: Compressor::Deflate { level }, shuffle: true, checksum: false }
}

/// An array of `dtype` and `shape` with nothing else said.
fn spec(path: &str, dtype: DType, shape: &[u64]) -> ArraySpec {
    ArraySpec {
        path: path.parse().unwrap(),
        element_type: ElementType::Number(dtype),
        shape: shape.to_vec(),
        dimension_names: vec![None; shape.len()],
        unlimited: vec![false; shape.len()],
        chunk_shape: None,
        shard_shape: None,
        codec: PLAIN,
        fill_value: None,
        attributes: Attributes::new(),
        is_coordinate: false,
    }
}

fn named(mut spec: ArraySpec, names: &[&str]) -> ArraySpec {
    spec.dimension_names = names.iter().map(|name| Some((*name).to_owned())).collect();
    spec.is_coordinate = names.len() == 1 && spec.path.name() == Some(names[0]);
    spec
}

fn attributes(entries: &[(&str, AttributeValue)]) -> Attributes {
    let mut attributes = Attributes::new();
    for (name, value) in entries {
        attributes.set(*name, value.clone());
    }
    attributes
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::Text(text.to_owned())
}

fn group(path: &str, attributes: Attributes, dimensions: &[(&str, u64, bool)]) -> GroupInfo {
    let dimensions = dimensions.iter().map(|(name, len, grows)| ((*name).to_owned(), *len, *grows)).collect();
    GroupInfo { path: path.parse().unwrap(), attributes, dimensions }
}

fn create(path: &Path, format: Format) -> Hdf5Writer {
    let mut writer = Hdf5Writer::create(path, &path.display().to_string(), format).unwrap();
    writer.create_group(&group("", Attributes::new(), &[])).unwrap();
    writer
}

/// Writes the C-order elements `bytes` to `sink`, its chunks dealt to two threads.
fn write_all(sink: &dyn Sink, bytes: &[u8]) -> Result<u64, blockwise_core::Error> {
    let pool = BufferPool::new(64 << 20);
    let cancellation = Cancellation::new();
    let cx = TaskContext::new(&pool, &cancellation);
    let grid = sink.grid();
    let whole: Vec<usize> = grid.shape().iter().map(|&len| len as usize).collect();
    let write = |index: Vec<u64>| -> Result<u64, blockwise_core::Error> {
        let region = grid.region(&index)?;
        let mut chunk = Chunk::uninit(sink.dtype(), region.shape(), &pool)?;
        let shape: Vec<usize> = region.shape().iter().map(|&len| len as usize).collect();
        let origin: Vec<usize> = region.origin().iter().map(|&at| at as usize).collect();
        let start = vec![0; shape.len()];
        let item_bytes = sink.dtype().size();
        copy_region(chunk.bytes_mut(), &shape, &start, bytes, &whole, &origin, &shape, item_bytes).unwrap();
        let stored = sink.write(&index, &chunk, &cx)?;
        // Any task may run twice.
        if index.iter().sum::<u64>() == 1 {
            sink.write(&index, &chunk, &cx)?;
        }
        Ok(stored)
    };
    let indices: Vec<Vec<u64>> = grid.indices().collect();
    let half = |odd: usize| indices.iter().skip(odd).step_by(2).cloned().map(write).sum();
    let (a, b): (Result<u64, _>, Result<u64, _>) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap())
    });
    let stored = a? + b?;
    sink.finish()?;
    Ok(stored)
}

/// `len` bytes that are valid elements of `dtype`, with runs of zeros.
fn noise(dtype: DType, len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes: Vec<u8> = (0..len)
        .map(|k| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if k / 64 % 3 == 0 { 0 } else { (state >> 32) as u8 }
        })
        .collect();
    if dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte &= 1);
    }
    bytes
}

/// A manifest line: file, path, dtype, shape, file of raw elements.
fn manifest_line(file: &str, node: &str, dtype: &str, shape: &[u64], raw: &str) -> String {
    let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
    format!("{file}\t{node}\t{dtype}\t{}\t{raw}\n", shape.join(","))
}

fn numbers(format: Format) -> impl Strategy<Value = DType> {
    let dtypes: Vec<DType> = DType::ALL
        .iter()
        .copied()
        .filter(|dtype| match dtype {
            DType::BF16 => false,
            DType::F16 | DType::C64 | DType::C128 => format == Format::Hdf5,
            _ => true,
        })
        .collect();
    proptest::sample::select(dtypes)
}

fn codecs(format: Format) -> impl Strategy<Value = CodecSpec> {
    let mut compressors = vec![
        Compressor::None,
        Compressor::Deflate { level: 1 },
        Compressor::Deflate { level: 9 },
        Compressor::Deflate { level: 0 },
    ];
    if format == Format::NetCdf4 {
        // netCDF4's wheel brings these filters along, h5py's does not.
        let blosc = |cname: &str, shuffle| Compressor::Blosc { cname: cname.to_owned(), level: 5, shuffle };
        compressors.push(Compressor::Zstd { level: 3 });
        compressors.push(blosc("lz4", BloscShuffle::Byte));
        compressors.push(blosc("zstd", BloscShuffle::Bit));
    }
    (proptest::sample::select(compressors), proptest::bool::ANY, proptest::bool::ANY)
        .prop_map(|(compressor, shuffle, checksum)| CodecSpec { compressor, shuffle, checksum })
}

/// Shape, chunk shape and growing axes, with empty axes, chunks longer than the axis, and odd edges.
fn shapes() -> impl Strategy<Value = (Vec<u64>, Option<Vec<u64>>, Vec<bool>)> {
    proptest::collection::vec((0_u64..14, 1_u64..9, proptest::bool::weighted(0.2)), 0..5).prop_flat_map(
        |axes| {
            let shape = axes.iter().map(|axis| axis.0).collect();
            let chunk: Vec<u64> = axes.iter().map(|axis| axis.1).collect();
            let unlimited = axes.iter().map(|axis| axis.2).collect();
            (
                proptest::strategy::Just(shape),
                proptest::option::weighted(0.8, proptest::strategy::Just(chunk)),
                proptest::strategy::Just(unlimited),
            )
        },
    )
}

#[test]
fn arrays_of_every_kind_are_read_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let mut manifest = String::new();
    for (format, extension) in [(Format::Hdf5, "h5"), (Format::NetCdf4, "nc")] {
        let strategy = (numbers(format), codecs(format), shapes());
        for case in 0..120_u64 {
            let (dtype, codec, (shape, chunk, unlimited)) = strategy.new_tree(&mut runner).unwrap().current();
            let name = format!("{case}.{extension}");
            let mut writer = create(&folder.path().join(&name), format);
            let mut spec = spec("array", dtype, &shape);
            (spec.codec, spec.chunk_shape, spec.unlimited) = (codec, chunk, unlimited);
            if case % 3 == 0 {
                spec.fill_value = Some(Scalar::from_bytes(dtype, &vec![1; dtype.size()]).unwrap());
            }
            let sink = writer.create_array(&spec).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
            let len = byte_count(&shape, dtype.size()).unwrap() as usize;
            let mut bytes = noise(dtype, len, case);
            if case % 6 == 0 {
                bytes.fill(1); // nothing but fill values, for some dtypes
            }
            write_all(&*sink, &bytes).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
            writer.finish().unwrap();
            let raw = format!("{name}.raw");
            std::fs::write(folder.path().join(&raw), &bytes).unwrap();
            let dtype = if dtype == DType::Bool && format == Format::NetCdf4 { "int8" } else { dtype.name() };
            manifest.push_str(&manifest_line(&name, "array", dtype, &shape, &raw));
        }
    }
    std::fs::write(folder.path().join("manifest"), manifest).unwrap();
    oracle::agrees("hdf5_values.py", &[folder.path()]);
}

/// A file with everything that NetCDF's data model has.
fn write_climate(path: &Path, format: Format) {
    let mut writer = Hdf5Writer::create(path, "climate", format).unwrap();
    let root = attributes(&[
        ("title", text("Sea surface")),
        ("institution", text("Météo")),
        ("empty", text("")),
        ("authors", AttributeValue::Texts(vec!["Ada".to_owned(), "Émilie".to_owned()])),
        ("version", AttributeValue::Number(Scalar::from(3_i16))),
        ("range", AttributeValue::Numbers(DType::F32, vec![Scalar::from(-1.5_f32), Scalar::from(2.5_f32)])),
        ("big", AttributeValue::Number(Scalar::from(u64::MAX))),
        ("nested", AttributeValue::Json(serde_json::json!({"a": [1, null]}))),
        ("_NCProperties", text("version=2,someone=else")),
        ("history", text(&"long ago; ".repeat(10_000))),
        ("levels", AttributeValue::Numbers(DType::F64, vec![Scalar::from(0.5_f64); 10_000])),
        ("none", AttributeValue::Numbers(DType::F64, Vec::new())),
    ]);
    // "unused" has no variable and no user; "x" and "time" have both.
    writer
        .create_group(&group("", root, &[("time", 5, true), ("unused", 7, false), ("y", 3, false)]))
        .unwrap();
    writer
        .create_group(&group(
            "deep",
            attributes(&[("level", AttributeValue::Number(Scalar::from(1_i32)))]),
            &[],
        ))
        .unwrap();
    writer.create_group(&group("deep/er", Attributes::new(), &[("x", 2, false)])).unwrap();

    let write = |writer: &mut Hdf5Writer, spec: &ArraySpec, bytes: &[u8]| {
        let sink = writer.create_array(spec).unwrap();
        write_all(&*sink, bytes).unwrap();
    };
    let bytes_of = |values: &[f32]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();

    // The data variable comes before the coordinates that it uses.
    let mut sst = named(spec("sst", DType::F32, &[5, 3, 4]), &["time", "y", "x"]);
    sst.unlimited = vec![true, false, false];
    sst.chunk_shape = Some(vec![2, 3, 4]);
    sst.codec = deflate(4);
    sst.fill_value = Some(Scalar::from(-999.0_f32));
    sst.attributes = attributes(&[
        ("units", text("degC")),
        ("_FillValue", AttributeValue::Number(Scalar::from(-999_i64))),
        ("long_name", text("température")),
        ("coordinates", text("lon")),
    ]);
    let mut values: Vec<f32> = (0_u8..60).map(f32::from).collect();
    values[7] = -999.0;
    write(&mut writer, &sst, &bytes_of(&values));

    let mut time = named(spec("time", DType::I64, &[5]), &["time"]);
    time.element_type = ElementType::DateTime { unit: "ns".to_owned(), difference: false };
    time.unlimited = vec![true];
    let day = 86_400_000_000_000_i64;
    write(&mut writer, &time, &(0..5_i64).flat_map(|k| (k * day).to_ne_bytes()).collect::<Vec<u8>>());

    write(&mut writer, &named(spec("x", DType::F32, &[4]), &["x"]), &bytes_of(&[0.0, 1.0, 2.0, 3.0]));
    write(&mut writer, &named(spec("lon", DType::F32, &[3, 4]), &["y", "x"]), &bytes_of(&[0.5; 12]));

    let mut lag = named(spec("lag", DType::I64, &[4]), &["x"]);
    lag.element_type = ElementType::DateTime { unit: "s".to_owned(), difference: true };
    write(&mut writer, &lag, &(0..4_i64).flat_map(i64::to_ne_bytes).collect::<Vec<u8>>());

    let mut code = named(spec("code", DType::U8, &[3]), &["y"]);
    code.element_type = ElementType::FixedBytes { len_bytes: 4 };
    code.chunk_shape = Some(vec![2]);
    code.codec = deflate(1);
    write(&mut writer, &code, b"ab\0\0wxyzq\0\0\0");

    let mut flag = named(spec("flag", DType::U8, &[4]), &["x"]);
    flag.element_type = ElementType::FixedBytes { len_bytes: 1 };
    write(&mut writer, &flag, b"TFTF");

    write(&mut writer, &named(spec("mask", DType::Bool, &[4]), &["x"]), &[1, 0, 0, 1]);
    write(&mut writer, &spec("crs", DType::I32, &[]), &7_i32.to_ne_bytes());
    write(&mut writer, &named(spec("größe", DType::I32, &[1; 32]), &["one"; 32]), &7_i32.to_ne_bytes());

    let mut station = named(spec("station", DType::U8, &[3]), &["y"]);
    station.element_type = ElementType::Text;
    station.attributes.set("_FillValue", text("none"));
    let texts = ["Brest", "", "Łódź"].map(str::to_owned).to_vec();
    writer.create_texts(&station, &TextArray { shape: vec![3], texts }).unwrap();

    // A variable named as a dimension that is not its own, and one in a group that uses dimensions of three groups.
    write(&mut writer, &named(spec("y", DType::F32, &[4]), &["x"]), &bytes_of(&[9.0; 4]));
    write(&mut writer, &named(spec("deep/er/v", DType::F32, &[2, 3]), &["x", "y"]), &bytes_of(&[1.0; 6]));
    write(&mut writer, &named(spec("deep/er/x", DType::F32, &[2]), &["x"]), &bytes_of(&[5.0, 6.0]));
    writer.finish().unwrap();
}

#[test]
fn netcdf_structure_is_as_netcdf4_and_xarray_expect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("climate.nc");
    write_climate(&path, Format::NetCdf4);
    oracle::agrees("netcdf_structure.py", &[&path]);
}

#[test]
fn hdf5_structure_is_as_h5py_expects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("climate.h5");
    write_climate(&path, Format::Hdf5);
    oracle::agrees("hdf5_structure.py", &[&path]);
}

#[test]
fn what_cannot_be_said_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |format: Format, spec: &ArraySpec| {
        let path = folder.path().join(format!("{}.nc", spec.path));
        let mut writer = Hdf5Writer::create(&path, "out.nc", format).unwrap();
        let error = writer.create_array(spec).map(|_| ()).unwrap_err();
        drop(writer);
        std::fs::remove_file(path).unwrap();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        error.to_string()
    };
    let contains = |said: String, words: &[&str]| {
        words.iter().for_each(|word| assert!(said.contains(word), "{said:?} lacks {word:?}"));
    };
    let array = |dtype| spec("a", dtype, &[4]);
    contains(refusal(Format::NetCdf4, &array(DType::F16)), &["out.nc::a", "float16", "--dtype float32"]);
    contains(refusal(Format::NetCdf4, &array(DType::C64)), &["complex", ".h5"]);
    contains(refusal(Format::Hdf5, &array(DType::BF16)), &["bfloat16", "--dtype float32"]);
    let mut sharded = array(DType::F32);
    sharded.shard_shape = Some(vec![4]);
    contains(refusal(Format::Hdf5, &sharded), &["--shards"]);
    let mut gzip = array(DType::F32);
    gzip.codec.compressor = Compressor::Gzip { level: 3 };
    contains(refusal(Format::Hdf5, &gzip), &["deflate:3"]);
    let mut huge = spec("a", DType::F64, &[1 << 30]);
    huge.chunk_shape = Some(vec![1 << 30]);
    contains(refusal(Format::Hdf5, &huge), &["--chunks"]);
    let mut reserved = array(DType::F32);
    reserved.attributes.set("DIMENSION_LIST", text("no"));
    contains(refusal(Format::NetCdf4, &reserved), &["DIMENSION_LIST"]);
    let mut months = array(DType::I64);
    months.element_type = ElementType::DateTime { unit: "M".to_owned(), difference: false };
    contains(refusal(Format::NetCdf4, &months), &["'M'", "--exclude"]);
    let mut fill = array(DType::U8);
    fill.attributes.set("_FillValue", AttributeValue::Number(Scalar::from(-1_i32)));
    contains(refusal(Format::NetCdf4, &fill), &["_FillValue -1", "uint8"]);
}

#[test]
fn dimensions_of_two_lengths_are_refused_in_netcdf_and_fine_in_hdf5() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::NetCdf4, Format::Hdf5] {
        let mut writer = create(&folder.path().join(format!("{format}")), format);
        write_all(&*writer.create_array(&named(spec("a", DType::U8, &[3]), &["n"])).unwrap(), &[1; 3])
            .unwrap();
        let second = writer.create_array(&named(spec("b", DType::U8, &[4]), &["n"]));
        if format == Format::Hdf5 {
            write_all(&*second.unwrap(), &[1; 4]).unwrap();
            writer.finish().unwrap();
        } else {
            let error = second.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("dimension n has 4 elements") && error.contains("but 3"), "{error}");
        }
    }
}

#[test]
fn chunks_of_fill_values_take_no_space() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(&folder.path().join("sparse.h5"), Format::Hdf5);
    let mut sparse = spec("sparse", DType::F32, &[1000, 1000]);
    sparse.chunk_shape = Some(vec![100, 100]);
    sparse.fill_value = Some(Scalar::from(f32::NAN));
    let sink = writer.create_array(&sparse).unwrap();
    let mut values = vec![f32::NAN; 1_000_000];
    values[0] = 1.0;
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    assert_eq!(element_count(&sparse.shape), Some(values.len() as u64));
    assert_eq!(write_all(&*sink, &bytes).unwrap(), 40_000);
    writer.finish().unwrap();
    let len = std::fs::metadata(folder.path().join("sparse.h5")).unwrap().len();
    assert!((40_000..80_000).contains(&len), "{len}");
}

#[test]
fn what_an_interrupted_run_left_is_written_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nc");
    for finished in [false, true] {
        let mut writer = create(&path, Format::NetCdf4);
        let sink = writer.create_array(&spec("a", DType::U16, &[3])).unwrap();
        write_all(&*sink, &[1, 0, 2, 0, 3, 0]).unwrap();
        assert!(!sink.is_committed(&[0]));
        if finished {
            writer.finish().unwrap();
            let late = writer.create_array(&spec("b", DType::U16, &[3])).map(|_| ()).unwrap_err();
            assert!(matches!(late, Error::Hdf5Library { .. }), "{late}");
        }
    }
    oracle::agrees("hdf5_opens.py", &[&path]);
}

#[test]
fn a_chunk_of_the_wrong_shape_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(&folder.path().join("a.h5"), Format::Hdf5);
    let sink = writer.create_array(&spec("a", DType::F32, &[4])).unwrap();
    let pool = BufferPool::new(1 << 20);
    let cancellation = Cancellation::new();
    let cx = TaskContext::new(&pool, &cancellation);
    for (dtype, shape) in [(DType::F32, 3), (DType::F64, 4)] {
        let chunk = Chunk::uninit(dtype, &[shape], &pool).unwrap();
        assert!(sink.write(&[0], &chunk, &cx).is_err());
    }
}

/// Runs in a process of its own, on a file system of 4 MiB in `folder`.
fn fill_a_small_disk(folder: &Path) {
    let noise = noise(DType::U8, 1 << 20, 1);
    type Fill<'a> = &'a dyn Fn(&mut Hdf5Writer) -> Result<(), blockwise_core::Error>;
    let chunks = |chunk: u64| {
        let noise = noise.clone();
        move |writer: &mut Hdf5Writer| {
            for k in 0.. {
                let mut spec = spec(&format!("a{k}"), DType::U8, &[1 << 20]);
                spec.chunk_shape = Some(vec![chunk]);
                spec.codec = deflate(1);
                write_all(&*writer.create_array(&spec)?, &noise)?;
            }
            Ok(())
        }
    };
    let contiguous = |writer: &mut Hdf5Writer| {
        let sink = writer.create_array(&spec("a", DType::F64, &[1 << 20]))?;
        write_all(&*sink, &vec![1; 8 << 20]).map(|_| ())
    };
    let groups = |writer: &mut Hdf5Writer| {
        for k in 0.. {
            let long = AttributeValue::Text("x".repeat(k % 3000));
            writer.create_group(&group(
                &format!("g{k}"),
                attributes(&[("long", long)]),
                &[("n", 1, false)],
            ))?;
        }
        Ok(())
    };
    let texts = |writer: &mut Hdf5Writer| {
        for k in 0.. {
            let mut spec = spec(&format!("t{k}"), DType::U8, &[1000]);
            spec.element_type = ElementType::Text;
            writer.create_texts(
                &spec,
                &TextArray { shape: vec![1000], texts: vec!["text ".repeat(k % 50); 1000] },
            )?;
        }
        Ok(())
    };
    let (large, small) = (chunks(1 << 16), chunks(300));
    let cases: [(&str, Fill<'_>); 5] = [
        ("large", &large),
        ("small", &small),
        ("contiguous", &contiguous),
        ("groups", &groups),
        ("texts", &texts),
    ];
    let mut completed = 10;
    for (name, fill) in cases {
        for (format, finished) in [(Format::Hdf5, true), (Format::NetCdf4, true), (Format::NetCdf4, false)] {
            let path = folder.join(name);
            let mut writer = create(&path, format);
            let error = fill(&mut writer).unwrap_err().to_string();
            assert!(
                error.contains("the disk is full") && error.contains("bytes) more were needed"),
                "{error}"
            );
            if finished {
                // What was written before may be completed, unless that takes more space in its turn.
                match writer.finish() {
                    Ok(()) if format == Format::Hdf5 => _ = oracle::agrees("hdf5_opens.py", &[&path]),
                    Ok(()) => {}
                    Err(Error::NoSpace { .. }) => completed -= 1,
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            drop(writer);
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(completed >= 5, "{completed}");
}

#[test]
fn a_full_disk_is_an_error_and_never_a_crash() {
    const FOLDER: &str = "BLOCKWISE_SMALL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        fill_a_small_disk(Path::new(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // In a mount namespace of its own, which most systems let anybody have.
    let script =
        r#"mount -t tmpfs -o size=4m none "$1" || exit 77; BLOCKWISE_SMALL_DISK=$1 exec "$2" --exact "$3""#;
    let test = "hdf5_write::a_full_disk_is_an_error_and_never_a_crash";
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .args([std::env::current_exe().unwrap().as_os_str(), test.as_ref()])
        .output();
    let said = |output: &std::process::Output| {
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    match output {
        Ok(output) if output.status.success() => {
            assert!(said(&output).contains("1 passed"), "{}", said(&output));
        }
        // Only `unshare` or `mount` end so; a test that fails exits with 101, a crash has no code.
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
            eprintln!("no private mounts here, so no disk was filled: {}", said(&output));
        }
        Ok(output) => panic!("{}\n{}", output.status, said(&output)),
        Err(error) => eprintln!("unshare is missing, so no disk was filled: {error}"),
    }
}
