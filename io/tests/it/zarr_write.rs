//! Zarr stores that we write: read back by ourselves, by zarr-python, tensorstore and xarray.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use crate::corpus::read_all;
use crate::oracle;
use blockwise_core::{Cancellation, Chunk, ChunkGrid, Sink, TaskContext};
use blockwise_io::publish::{Publication, PublishOptions};
use blockwise_io::store::{ByteStore, Entry, Root, Visit};
use blockwise_io::zarr::{self, ZarrWriter};
use blockwise_io::{
    ArraySpec, AttributeValue, Attributes, BloscShuffle, CodecSpec, Compressor, Container, ContainerWriter,
    ElementType, Error, Format, GroupInfo, NodePath, OpenOptions, TextArray,
};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{Buffer, BufferPool, DType, Scalar};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// An array to write, and what it holds.
#[derive(Debug)]
pub(crate) struct Made {
    spec: ArraySpec,
    bytes: Vec<u8>,
}

fn spec(path: &str, dtype: DType, shape: &[u64], chunk: &[u64]) -> ArraySpec {
    ArraySpec {
        path: path.parse().unwrap(),
        element_type: ElementType::Number(dtype),
        shape: shape.to_vec(),
        dimension_names: vec![None; shape.len()],
        unlimited: vec![false; shape.len()],
        chunk_shape: Some(chunk.to_vec()),
        shard_shape: None,
        codec: CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false },
        fill_value: None,
        attributes: Attributes::new(),
        is_coordinate: false,
    }
}

fn usizes(values: &[u64]) -> Vec<usize> {
    values.iter().map(|&value| usize::try_from(value).unwrap()).collect()
}

/// The box of `whole` (of the grid's shape) that is chunk `index`.
fn cut(grid: &ChunkGrid, index: &[u64], whole: &[u8], dtype: DType, pool: &BufferPool) -> Chunk {
    let region = grid.region(index).unwrap();
    let mut chunk = Chunk::uninit(dtype, region.shape(), pool).unwrap();
    let (shape, part, origin) = (usizes(&grid.shape()), usizes(region.shape()), usizes(region.origin()));
    let zeros = vec![0; part.len()];
    copy_region(chunk.bytes_mut(), &part, &zeros, whole, &shape, &origin, &part, dtype.size()).unwrap();
    chunk
}

/// Writes every chunk that is not committed, from four threads.
fn write_all(sink: &dyn Sink, whole: &[u8]) {
    let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
    let indices: Vec<Vec<u64>> = sink.grid().indices().collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (pool, cancellation, indices) = (&pool, &cancellation, &indices);
            scope.spawn(move || {
                let cx = TaskContext::new(pool, cancellation);
                for index in indices.iter().rev().skip(thread).step_by(4) {
                    let chunk = cut(sink.grid(), index, whole, sink.dtype(), pool);
                    sink.write(index, &chunk, &cx).unwrap();
                }
            });
        }
    });
    sink.finish().unwrap();
}

/// Writes a store without publishing it, which would wait for the disk. It lies at the publication's payload path.
fn write_store(out: &Path, format: Format, groups: &[GroupInfo], arrays: &[Made]) -> Publication {
    let publication = Publication::begin(out, &PublishOptions::default()).unwrap().unwrap();
    let mut writer = ZarrWriter::create(publication.partial().clone(), "out", format).unwrap();
    for group in groups {
        writer.create_group(group).unwrap();
    }
    for array in arrays {
        let sink = writer.create_array(&array.spec).unwrap();
        write_all(&*sink, &array.bytes);
    }
    writer.finish().unwrap();
    publication
}

fn open(path: &Path) -> Arc<dyn Container> {
    zarr::open(Arc::new(Root::open(path, false).unwrap()), &OpenOptions::default()).unwrap()
}

fn root(attributes: Attributes) -> GroupInfo {
    GroupInfo { path: NodePath::root(), attributes, dimensions: Vec::new() }
}

fn codecs() -> impl Strategy<Value = CodecSpec> {
    let compressors = prop_oneof![
        Just(Compressor::None),
        (1..4).prop_map(|level| Compressor::Zstd { level }),
        (0_u32..7).prop_map(|level| Compressor::Gzip { level }),
        (1_u32..7).prop_map(|level| Compressor::Deflate { level }),
        (0_u32..6, 0..3_usize, 0..5_usize).prop_map(|(level, shuffle, name)| Compressor::Blosc {
            cname: ["lz4", "zstd", "zlib", "lz4hc", "blosclz"][name].to_owned(),
            level,
            shuffle: [BloscShuffle::None, BloscShuffle::Byte, BloscShuffle::Bit][shuffle],
        }),
    ];
    (compressors, any::<bool>(), any::<bool>()).prop_map(|(compressor, shuffle, checksum)| CodecSpec {
        compressor,
        shuffle,
        checksum,
    })
}

/// Arrays with runs of equal elements, whose first quarter is fill value.
fn arrays() -> impl Strategy<Value = (Format, Made)> {
    let axis = (0_u64..13, 1_u64..6, 1_u64..4);
    let axes = proptest::collection::vec(axis, 0..5);
    let element = (0..DType::ALL.len(), 0..4_u64);
    (axes, element, codecs(), any::<bool>(), 0..3_u8, any::<u64>()).prop_map(
        |(mut axes, (dtype, run), codec, v3, sharded, seed)| {
            // Few chunks: each is a file, and what they hold matters more than their number.
            while axes.iter().map(|(extent, chunk, _)| extent.div_ceil(*chunk)).product::<u64>() > 40 {
                if let Some((_, chunk, _)) =
                    axes.iter_mut().max_by_key(|(extent, chunk, _)| extent.div_ceil(*chunk))
                {
                    *chunk += 1;
                }
            }
            let dtype = DType::ALL[dtype];
            let format = if v3 || dtype == DType::BF16 { Format::Zarr3 } else { Format::Zarr2 };
            let shape: Vec<u64> = axes.iter().map(|(extent, ..)| *extent).collect();
            let chunk: Vec<u64> = axes.iter().map(|(_, chunk, _)| *chunk).collect();
            let mut spec = spec("x", dtype, &shape, &chunk);
            if sharded == 0 && format == Format::Zarr3 {
                spec.shard_shape = Some(axes.iter().map(|(_, chunk, times)| chunk * times).collect());
            }
            let mut dtype = dtype;
            let mut item_count: u64 = shape.iter().product();
            if run > 0 && dtype == DType::U8 {
                spec.element_type = ElementType::FixedBytes { len_bytes: run };
                item_count *= run;
            } else if run == 1 && dtype == DType::I64 {
                spec.element_type = ElementType::DateTime { unit: "ns".to_owned(), difference: false };
            } else {
                dtype = spec.element_type.stream_dtype().unwrap();
            }
            spec.codec = codec;
            if format == Format::Zarr2 && !matches!(spec.codec.compressor, Compressor::Zstd { .. }) {
                spec.codec.checksum = false;
            }
            let len = usize::try_from(item_count).unwrap() * dtype.size();
            let mut state = seed | 1;
            let mut bytes: Vec<u8> = (0..len)
                .map(|k| {
                    if k % 5 == 0 {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                    }
                    let byte = u8::try_from(state >> 56).unwrap();
                    if dtype == DType::Bool { byte & 1 } else { byte }
                })
                .collect();
            let fill =
                Scalar::from_bytes(dtype, bytes.get(..dtype.size()).unwrap_or(&[0; 16][..dtype.size()]))
                    .unwrap();
            spec.fill_value = (seed % 3 > 0 && !matches!(spec.element_type, ElementType::FixedBytes { .. }))
                .then_some(fill);
            let filled = spec.fill_value.unwrap_or(Scalar::zero(dtype));
            let quarter = len / 4 / dtype.size() * dtype.size();
            for item in bytes[..quarter].chunks_mut(dtype.size()) {
                item.copy_from_slice(filled.bytes());
            }
            (format, Made { spec, bytes })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read((format, made) in arrays()) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.zarr");
        let (spec, bytes) = (made.spec.clone(), made.bytes.clone());
        let publication = write_store(&out, format, &[root(Attributes::new())], &[made]);
        let container = open(publication.partial().payload_path());
        let array = container.array(&spec.path).unwrap();
        let info = array.info();
        prop_assert_eq!(&info.shape, &spec.shape);
        prop_assert_eq!(&info.element_type, &spec.element_type);
        prop_assert_eq!(&info.codec, &Some(spec.codec.clone()));
        prop_assert_eq!(&info.shard_shape, &spec.shard_shape);
        prop_assert_eq!(&info.chunk_shape, &spec.chunk_shape);
        let source = array.source().unwrap();
        prop_assert_eq!(read_all(&*source).unwrap(), bytes.clone());

        // Encoded chunks go over to a second array of equal codecs, and mean the same there.
        let again = folder.path().join("again.zarr");
        let publication = Publication::begin(&again, &PublishOptions::default()).unwrap().unwrap();
        let mut writer = ZarrWriter::create(publication.partial().clone(), "again", format).unwrap();
        let sink = writer.create_array(&spec).unwrap();
        prop_assert!(source.encoding().is_some());
        prop_assert_eq!(source.encoding(), sink.encoding());
        prop_assert_eq!(source.grid(), sink.grid());
        let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        for index in source.grid().indices() {
            let encoded = source.read_encoded(&index, &cx).unwrap();
            sink.write_encoded(&index, encoded.as_deref(), &cx).unwrap();
        }
        sink.finish().unwrap();
        writer.finish().unwrap();
        let copy = open(publication.partial().payload_path()).array(&spec.path).unwrap();
        prop_assert_eq!(read_all(&*copy.source().unwrap()).unwrap(), bytes);
        prop_assert_eq!(copy.stored_chunks().unwrap(), array.stored_chunks().unwrap());
    }
}

/// A small climate-like store: groups, coordinates, attributes of all kinds, texts, packed and sharded arrays.
pub(crate) fn sample(out: &Path, format: Format) -> Vec<Made> {
    let mut attributes = Attributes::new();
    attributes.set("title", AttributeValue::Text("sample".to_owned()));
    attributes
        .set("levels", AttributeValue::Numbers(DType::I32, vec![Scalar::from(1_i32), Scalar::from(2_i32)]));
    let name = |name: &str| Some(name.to_owned());
    let values: Vec<u8> = (0..12 * 10_u16).flat_map(|k| (k % 31).to_ne_bytes()).collect();
    let mut packed = spec("ocean/packed", DType::I16, &[12, 10], &[5, 4]);
    packed.dimension_names = vec![name("time"), name("x")];
    packed.fill_value = Some(Scalar::from(-1_i16));
    packed.attributes.set("_FillValue", AttributeValue::Number(Scalar::from(-1_i16)));
    packed.attributes.set("scale_factor", AttributeValue::Number(Scalar::from(0.5_f32)));
    packed.attributes.set(
        "valid_range",
        AttributeValue::Numbers(DType::I16, vec![Scalar::from(0_i16), Scalar::from(100_i16)]),
    );
    packed.codec.compressor =
        Compressor::Blosc { cname: "zstd".to_owned(), level: 1, shuffle: BloscShuffle::Byte };
    let floats: Vec<u8> = (0..12 * 10_u16).flat_map(|k| (f32::from(k) / 3.0).to_ne_bytes()).collect();
    let mut float = spec("ocean/float", DType::F32, &[12, 10], &[3, 4]);
    float.dimension_names = vec![name("time"), name("x")];
    float.fill_value = Some(Scalar::from(-999.0_f32));
    float.attributes.set("_FillValue", AttributeValue::Number(Scalar::from(-999.0_f32)));
    float.attributes.set("missing_value", AttributeValue::Number(Scalar::from(f32::NAN)));
    float.attributes.set("units", AttributeValue::Text("K".to_owned()));
    float.codec.compressor = Compressor::Zstd { level: 1 };
    if format == Format::Zarr3 {
        float.shard_shape = Some(vec![6, 12]);
        float.codec.checksum = true;
    }
    let mut time = spec("ocean/time", DType::I64, &[12], &[12]);
    time.dimension_names = vec![name("time")];
    time.is_coordinate = true;
    time.attributes.set("units", AttributeValue::Text("days since 2000-01-01".to_owned()));
    let days: Vec<u8> = (0..12_i64).flat_map(i64::to_ne_bytes).collect();
    let mut scalar = spec("ocean/scalar", DType::F64, &[], &[]);
    scalar.codec.compressor = Compressor::Gzip { level: 5 };
    let mut strings = spec("ocean/strings", DType::U8, &[12], &[5]);
    strings.dimension_names = vec![name("time")];
    strings.element_type = ElementType::FixedBytes { len_bytes: 3 };
    let letters: Vec<u8> = (0..36).map(|k| if k % 3 == 2 { 0 } else { b'a' + k % 26 }).collect();
    let mut zeros = spec("ocean/zeros", DType::U16, &[4, 0], &[2, 2]);
    zeros.dimension_names = vec![name("y"), name("none")];
    let arrays = vec![
        Made { spec: packed, bytes: values },
        Made { spec: float, bytes: floats },
        Made { spec: time, bytes: days },
        Made { spec: scalar, bytes: 2.5_f64.to_ne_bytes().to_vec() },
        Made { spec: strings, bytes: letters },
        Made { spec: zeros, bytes: Vec::new() },
    ];

    let publication = Publication::begin(out, &PublishOptions::default()).unwrap().unwrap();
    let mut writer = ZarrWriter::create(publication.partial().clone(), "out", format).unwrap();
    writer.create_group(&root(attributes.clone())).unwrap();
    let ocean = GroupInfo { path: "ocean".parse().unwrap(), attributes, dimensions: Vec::new() };
    writer.create_group(&ocean).unwrap();
    for array in &arrays {
        write_all(&*writer.create_array(&array.spec).unwrap(), &array.bytes);
    }
    let mut names = spec("ocean/names", DType::U8, &[12], &[5]);
    names.element_type = ElementType::Text;
    names.dimension_names = vec![name("time")];
    names.codec.compressor = Compressor::Zstd { level: 3 };
    writer.create_texts(&names, &texts()).unwrap();
    writer.finish().unwrap();
    publication.commit().unwrap();
    arrays
}

fn texts() -> TextArray {
    TextArray { shape: vec![12], texts: (0..12).map(|k| format!("stä{}", "x".repeat(k))).collect() }
}

#[test]
fn a_store_keeps_its_tree_and_attributes() {
    for format in [Format::Zarr2, Format::Zarr3] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.zarr");
        let arrays = sample(&out, format);
        let container = open(&out);
        assert_eq!(container.format(), format);
        let (groups, infos) = container.nodes().unwrap();
        let group_paths: Vec<String> = groups.iter().map(|group| group.path.to_string()).collect();
        assert_eq!(group_paths, ["", "ocean"]);
        assert_eq!(groups[1].attributes.get("title"), Some(&AttributeValue::Text("sample".to_owned())));
        assert_eq!(infos.len(), arrays.len() + 1);
        for Made { spec, bytes } in &arrays {
            let array = container.array(&spec.path).unwrap();
            let info = array.info();
            for (name, value) in spec.attributes.iter() {
                let found = info.attributes.get(name);
                if name == "scale_factor" {
                    assert_eq!(found, Some(&AttributeValue::Number(Scalar::from(0.5_f64))));
                } else {
                    assert_eq!(found, Some(value), "{format} {} {name}", spec.path);
                }
            }
            assert_eq!(info.attributes.len(), spec.attributes.len(), "{format} {:?}", info.attributes);
            assert_eq!(info.dimension_names, spec.dimension_names);
            assert_eq!(info.is_coordinate, spec.is_coordinate);
            assert_eq!(read_all(&*array.source().unwrap()).unwrap(), *bytes);
        }
        let names = container.array(&"ocean/names".parse().unwrap()).unwrap();
        assert_eq!(names.info().element_type, ElementType::Text);
        assert_eq!(names.read_texts(10_000).unwrap(), texts());
        assert!(matches!(names.read_texts(300), Err(Error::Limit { .. })));
        assert!(names.source().is_err());

        let unlisted =
            zarr::open(Arc::new(Unlisted(Root::open(&out, false).unwrap())), &OpenOptions::default())
                .unwrap();
        let (other_groups, other_infos) = unlisted.nodes().unwrap();
        assert_eq!(other_groups.len(), groups.len());
        let paths = |infos: &[blockwise_io::ArrayInfo]| {
            let mut paths: Vec<String> = infos.iter().map(|info| info.path.to_string()).collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(&other_infos), paths(&infos));
    }
}

/// A store that cannot be listed, as one behind HTTP.
struct Unlisted(Root);

impl ByteStore for Unlisted {
    fn label(&self) -> &str {
        self.0.label()
    }
    fn get(&self, key: &str, limit_bytes: u64, pool: &BufferPool) -> blockwise_io::Result<Option<Buffer>> {
        self.0.get(key, limit_bytes, pool)
    }
    fn get_range(
        &self,
        key: &str,
        at: u64,
        len: usize,
        pool: &BufferPool,
    ) -> blockwise_io::Result<Option<Buffer>> {
        self.0.get_range(key, at, len, pool)
    }
    fn len(&self, key: &str) -> blockwise_io::Result<Option<u64>> {
        self.0.len(key)
    }
    fn list(
        &self,
        _: &str,
        _: &mut dyn FnMut(Entry) -> blockwise_io::Result<Visit>,
    ) -> blockwise_io::Result<()> {
        Err(Error::Unsupported { path: "u".to_owned(), what: "listing".to_owned(), remedy: "" })
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let publication = Publication::begin(&out, &PublishOptions::default()).unwrap().unwrap();
    let mut writer = ZarrWriter::create(publication.partial().clone(), "out", Format::Zarr2).unwrap();
    let mut refused = |change: &dyn Fn(&mut ArraySpec)| {
        let mut spec = spec("x", DType::F32, &[8], &[4]);
        change(&mut spec);
        let error = writer.create_array(&spec).err().unwrap();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(&|spec| spec.shard_shape = Some(vec![8])).contains("no shards"));
    assert!(refused(&|spec| spec.codec.checksum = true).contains("zstd"));
    assert!(refused(&|spec| spec.element_type = ElementType::Number(DType::BF16)).contains("bfloat16"));
    assert!(refused(&|spec| spec.element_type = ElementType::Other("|V8".to_owned())).contains("|V8"));
    assert!(refused(&|spec| spec.chunk_shape = Some(vec![0])).contains("do not cut"));
    assert!(refused(&|spec| spec.path = "a/.zarray".parse().unwrap()).contains(".zarray"));
    assert!(refused(&|spec| spec.codec.compressor = Compressor::Gzip { level: 77 }).contains("77"));
}

#[test]
fn an_interrupted_array_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.zarr");
    let options = PublishOptions { resume: true, plan_key: "p".to_owned(), ..PublishOptions::default() };
    let mut spec = spec("", DType::I32, &[40], &[5]);
    spec.shard_shape = Some(vec![10]);
    let whole: Vec<u8> = (0..40_i32).flat_map(|k| if k < 20 { 0 } else { k }.to_ne_bytes()).collect();
    let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
    let cx = TaskContext::new(&pool, &cancellation);
    for attempt in 0..2 {
        let publication = Publication::begin(&out, &options).unwrap().unwrap();
        let mut writer = ZarrWriter::create(publication.partial().clone(), "out", Format::Zarr3).unwrap();
        let sink = writer.create_array(&spec).unwrap();
        let committed: Vec<bool> =
            sink.commit_grid().indices().map(|index| sink.is_committed(&index)).collect();
        // The first attempt ends with shards 0 (all fill value) and 2 finished, and half of shard 3.
        assert_eq!(committed, [attempt == 1, false, attempt == 1, false]);
        let chunks = if attempt == 0 { vec![0, 1, 4, 5, 6] } else { vec![2, 3, 6, 7] };
        for index in chunks {
            sink.write(&[index], &cut(sink.grid(), &[index], &whole, DType::I32, &pool), &cx).unwrap();
        }
        if attempt == 0 {
            assert!(sink.finish().unwrap_err().to_string().contains("incomplete"));
            drop((sink, writer));
            assert!(publication.abandon().is_some());
        } else {
            sink.finish().unwrap();
            writer.finish().unwrap();
            publication.commit().unwrap();
        }
    }
    let array = open(&out).array(&NodePath::root()).unwrap();
    assert_eq!(read_all(&*array.source().unwrap()).unwrap(), whole);
    assert_eq!(array.stored_chunks().unwrap(), (2, 4));
}

#[test]
fn python_reads_the_same() {
    for format in [Format::Zarr2, Format::Zarr3] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.zarr");
        for Made { spec, bytes } in sample(&out, format) {
            std::fs::write(folder.path().join(spec.path.name().unwrap()), bytes).unwrap();
        }
        let mut plain = Vec::new();
        let mut compressors = vec![
            Compressor::None,
            Compressor::Zstd { level: 1 },
            Compressor::Gzip { level: 1 },
            Compressor::Deflate { level: 1 },
        ];
        for (cname, shuffle) in
            [("lz4", BloscShuffle::Byte), ("zlib", BloscShuffle::None), ("blosclz", BloscShuffle::Bit)]
        {
            compressors.push(Compressor::Blosc { cname: cname.to_owned(), level: 5, shuffle });
        }
        for (k, dtype) in DType::ALL.iter().enumerate() {
            if *dtype == DType::BF16 && format == Format::Zarr2 {
                continue;
            }
            let mut spec = spec(&format!("d{k}"), *dtype, &[7, 9], &[3, 4]);
            if *dtype != DType::BF16 {
                // The reader that knows bfloat16 knows fewer codecs.
                spec.codec.compressor = compressors[k % compressors.len()].clone();
                spec.codec.shuffle = k % 3 == 0;
            }
            if format == Format::Zarr3 && k % 2 == 0 {
                spec.shard_shape = Some(vec![6, 4]);
            }
            let bytes: Vec<u8> = (0..63 * dtype.size()).map(|k| u8::from(k % 3 == 0)).collect();
            std::fs::write(folder.path().join(format!("d{k}")), &bytes).unwrap();
            plain.push(Made { spec, bytes });
        }
        let types = folder.path().join("types.zarr");
        write_store(&types, format, &[root(Attributes::new())], &plain).commit().unwrap();
        let version = if format == Format::Zarr2 { Path::new("2") } else { Path::new("3") };
        if !oracle::agrees("zarr_values.py", &[&out, &types, folder.path(), version]) {
            return;
        }
    }
}
