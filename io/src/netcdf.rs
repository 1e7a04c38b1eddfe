//! Reading NetCDF classic files: CDF-1, CDF-2 and CDF-5. (NetCDF-4 files are HDF5 files: see [`hdf5`](crate::hdf5).)
//!
//! The header is parsed by `netcdf-reader`; elements lie uncompressed and big-endian at regular strides, records of
//! all record variables interleaved, and are read as such (`contiguous.rs`). Invariants: one
//! dimension at most is unlimited, and is the first of its variables; every variable was found to lie in the file
//! before its source is handed out. Called by the facade through [`Container`].

mod describe;

use crate::container::{
    ArrayInfo, Container, ElementType, Format, GroupInfo, NodePath, OpenOptions, StoredArray, TextArray,
};
use crate::contiguous::{Backing, StridedArray, StridedSource, c_strides};
use crate::error::{Error, Result};
use crate::fence::fenced;
use crate::store::RegularFile;
use blockwise_core::Source;
use blockwise_core::region::byte_count;
use netcdf_reader::NcFormat;
use netcdf_reader::classic::data::compute_record_stride;
use netcdf_reader::classic::header::{ClassicHeader, parse_header};
use netcdf_reader::types::NcVariable;
use std::path::Path;
use std::sync::Arc;

/// Bytes of the header that are read first; doubled until the header is whole.
const FIRST_HEADER_BYTES: u64 = 64 << 10;
/// Longer headers are refused.
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// The number of records in a file whose writer did not know it (CDF-1 and CDF-2).
const STREAMING: [u8; 4] = [0xff; 4];

/// An open NetCDF classic file.
#[derive(Debug)]
pub struct ClassicContainer {
    file: Arc<RegularFile>,
    root: GroupInfo,
    arrays: Vec<Arc<ClassicArray>>,
}

/// One variable.
#[derive(Debug)]
struct ClassicArray {
    info: ArrayInfo,
    strided: StridedArray,
}

/// The format that `start`, the first bytes of a file, announces.
fn format_of(start: &[u8]) -> Option<NcFormat> {
    match start {
        [b'C', b'D', b'F', 1, ..] => Some(NcFormat::Classic),
        [b'C', b'D', b'F', 2, ..] => Some(NcFormat::Offset64),
        [b'C', b'D', b'F', 5, ..] => Some(NcFormat::Cdf5),
        _ => None,
    }
}

/// Opens the NetCDF classic file at `path`.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UnsafePath`] if it is no regular file; [`Error::Corrupt`] if its header is.
pub fn open(path: &Path, options: &OpenOptions) -> Result<ClassicContainer> {
    open_file(Arc::new(RegularFile::open(path)?), options)
}

/// As [`open`], for a file that is open already. Nothing in `options` applies to this format.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: Arc<RegularFile>, _options: &OpenOptions) -> Result<ClassicContainer> {
    let label = file.label().to_owned();
    fenced(&label, || {
        let header = header(&file)?;
        ClassicContainer::new(file, &header)
    })
}

/// Parses the header, with the true number of records.
fn header(file: &RegularFile) -> Result<ClassicHeader> {
    let corrupt = |what: String| Error::Corrupt {
        path: file.label().to_owned(),
        what,
        remedy: "; check that the file is the right one and was copied whole",
    };
    let mut len = FIRST_HEADER_BYTES.min(file.len_bytes());
    loop {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(0, &mut bytes)?;
        let format = format_of(&bytes).ok_or_else(|| corrupt("this is no NetCDF classic file".to_owned()))?;
        match parse_header(&bytes, format) {
            Ok(mut header) => {
                let is_streaming = format != NcFormat::Cdf5 && bytes.get(4..8) == Some(&STREAMING);
                if is_streaming {
                    count_records(&mut header, file.len_bytes())
                        .map_err(|error| corrupt(error.to_string()))?;
                }
                return Ok(header);
            }
            // Whatever was wrong may be due to the cut.
            Err(_) if len < file.len_bytes() && len < MAX_HEADER_BYTES => {
                len = len.saturating_mul(2).min(file.len_bytes()).min(MAX_HEADER_BYTES);
            }
            Err(error) => return Err(corrupt(format!("header: {error}"))),
        }
    }
}

/// Sets the number of records to what the file's length allows.
fn count_records(header: &mut ClassicHeader, file_bytes: u64) -> netcdf_reader::Result<()> {
    let stride = compute_record_stride(&header.variables)?;
    let start = header
        .variables
        .iter()
        .filter(|variable| variable.is_record_var)
        .map(|variable| variable.data_offset);
    let record_bytes = start.min().map_or(0, |start| file_bytes.saturating_sub(start));
    let count = record_bytes.checked_div(stride).unwrap_or(0);
    let in_variables = header.variables.iter_mut().flat_map(|variable| &mut variable.dimensions);
    for dimension in header.dimensions.iter_mut().chain(in_variables) {
        if dimension.is_unlimited {
            dimension.size = count;
        }
    }
    Ok(())
}

impl ClassicContainer {
    fn new(file: Arc<RegularFile>, header: &ClassicHeader) -> Result<Self> {
        let label = file.label();
        let fault = |what: String| Error::Corrupt { path: label.to_owned(), what, remedy: "" };
        if header.dimensions.iter().filter(|dimension| dimension.is_unlimited).count() > 1 {
            return Err(fault("it has more than one unlimited dimension".to_owned()));
        }
        let stride = compute_record_stride(&header.variables).map_err(|error| fault(error.to_string()))?;
        let arrays = header.variables.iter().map(|variable| {
            let info = describe::array_info(variable, label)?;
            let strided = strided(&file, variable, &info, stride)?;
            Ok(Arc::new(ClassicArray { info, strided }))
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let dimensions = header.dimensions.iter();
        let root = GroupInfo {
            path: NodePath::root(),
            attributes: describe::attributes(&header.global_attributes),
            dimensions: dimensions.map(|dim| (dim.name.clone(), dim.size, dim.is_unlimited)).collect(),
        };
        Ok(Self { file, root, arrays })
    }
}

/// Where the elements of `variable` lie; `record_stride` is the bytes from one record to the next.
fn strided(
    file: &Arc<RegularFile>,
    variable: &NcVariable,
    info: &ArrayInfo,
    record_stride: u64,
) -> Result<StridedArray> {
    let label = format!("{}::{}", file.label(), info.path);
    let fault = |what: &str| Error::Corrupt { path: label.clone(), what: what.to_owned(), remedy: "" };
    let dtype =
        info.element_type.stream_dtype().ok_or_else(|| fault("it has a type that no such file has"))?;
    if variable.dimensions.iter().skip(1).any(|dimension| dimension.is_unlimited) {
        return Err(fault("its unlimited dimension is not the first"));
    }
    let mut shape = info.shape.clone();
    if matches!(info.element_type, ElementType::FixedBytes { .. }) {
        shape.push(1); // characters are strings of one byte
    }
    let mut strides =
        c_strides(&shape, dtype.size()).ok_or_else(|| fault("its shape has too many elements"))?;
    if byte_count(&shape, dtype.size()).is_none() {
        return Err(fault("its shape has too many elements"));
    }
    if let (true, Some(stride)) = (variable.is_record_var, strides.first_mut()) {
        *stride = record_stride;
    }
    let is_swapped = cfg!(target_endian = "little") && dtype.size() > 1;
    let (backing, offset) = (Backing::File(Arc::clone(file)), variable.data_offset);
    Ok(StridedArray { label, backing, offset, dtype, shape, strides, is_swapped })
}

impl Container for ClassicContainer {
    fn label(&self) -> &str {
        self.file.label()
    }

    fn format(&self) -> Format {
        Format::NetCdfClassic
    }

    fn nodes(&self) -> Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        let arrays = self.arrays.iter().map(|array| array.info.clone()).collect();
        Ok((vec![self.root.clone()], arrays))
    }

    fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>> {
        match self.arrays.iter().find(|array| array.info.path == *path) {
            Some(array) => Ok(Arc::clone(array) as Arc<dyn StoredArray>),
            None => {
                let names: Vec<String> =
                    self.arrays.iter().map(|array| array.info.path.to_string()).collect();
                let hint = format!("; the file has {}", names.join(", "));
                Err(Error::NotFound { path: format!("{}::{path}", self.label()), hint })
            }
        }
    }
}

impl StoredArray for ClassicArray {
    fn info(&self) -> &ArrayInfo {
        &self.info
    }

    fn source(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(StridedSource::new(self.strided.clone())?))
    }

    fn stored_chunks(&self) -> Result<(u64, u64)> {
        Ok((1, 1))
    }

    fn stored_bytes(&self) -> Result<u64> {
        Ok(byte_count(&self.strided.shape, self.strided.dtype.size()).unwrap_or(u64::MAX)) // checked when opened
    }

    fn read_texts(&self, _limit_bytes: u64) -> Result<TextArray> {
        let what = format!("its elements are {}, no texts: stream them", self.info.element_type);
        Err(Error::Refused { path: self.strided.label.clone(), what })
    }
}
