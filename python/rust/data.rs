//! Elements: straight between files and the memory of numpy, or as lists of texts and bytes.

use array_format::{ArrayElement, DType, Elements, Error, ErrorKind, Result, Scalar, Values, Variable};
use numpy::{PyArray1, PyReadonlyArray1, PyReadwriteArray1, PyReadwriteArrayDyn};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::errors::raised;
use crate::file::Handle;
use crate::wait;

/// numpy's memory, if it is one run of bytes.
fn dense<T>(memory: std::result::Result<T, impl std::fmt::Display>) -> PyResult<T> {
    memory.map_err(|e| PyValueError::new_err(format!("memory of numpy that is not contiguous: {e}")))
}

#[pymethods]
impl Handle {
    /// Fills `values` with the bytes of a region, and `validity` with a byte an element.
    #[pyo3(signature = (name, start, shape, step, values, validity=None))]
    #[expect(clippy::too_many_arguments, reason = "a region and where it goes")]
    fn read_bytes(
        &self,
        py: Python<'_>,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        step: Vec<u64>,
        mut values: PyReadwriteArray1<'_, u8>,
        mut validity: Option<PyReadwriteArrayDyn<'_, u8>>,
    ) -> PyResult<()> {
        let bytes = dense(values.as_slice_mut())?;
        let mask = validity.as_mut().map(|v| dense(v.as_slice_mut())).transpose()?;
        wait(py, self.file().read_bytes(name, start, shape, step, bytes, mask))
    }

    #[pyo3(signature = (name, start, shape, values, validity=None))]
    fn write_bytes(
        &self,
        py: Python<'_>,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        values: PyReadonlyArray1<'_, u8>,
        validity: Option<PyReadonlyArray1<'_, u8>>,
    ) -> PyResult<()> {
        let bytes = dense(values.as_slice())?;
        let mask = validity.as_ref().map(|v| dense(v.as_slice())).transpose()?;
        wait(py, self.file().write_bytes(name, start, shape, bytes, mask))
    }

    /// Elements of varying length, as texts or bytes, and a byte an element that says whether it is there.
    fn read_variable<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        step: Vec<u64>,
    ) -> PyResult<(Bound<'py, PyList>, Option<Bound<'py, PyBytes>>)> {
        let (_, elements) = wait(py, self.file.read_elements(name, start, shape, step))?;
        let values = elements.values.variable().map_err(|e| raised(&e))?;
        let list = match elements.dtype {
            DType::String => {
                let texts =
                    values.iter().map(std::str::from_utf8).collect::<std::result::Result<Vec<_>, _>>();
                let texts = texts.map_err(|e| raised(&Error::corrupt(e.to_string()).in_array(name)))?;
                PyList::new(py, texts.into_iter().map(|t| PyString::new(py, t)).collect::<Vec<_>>())?
            }
            _ => PyList::new(py, values.iter().map(|b| PyBytes::new(py, b)).collect::<Vec<_>>())?,
        };
        Ok((list, elements.validity.as_deref().map(|v| PyBytes::new(py, v))))
    }

    #[pyo3(signature = (name, start, shape, values, validity=None))]
    fn write_variable(
        &self,
        py: Python<'_>,
        name: &str,
        start: Vec<u64>,
        shape: Vec<u64>,
        values: &Bound<'_, PyList>,
        validity: Option<Vec<u8>>,
    ) -> PyResult<()> {
        let array = wait(py, self.file.array(name))?;
        let mut variable = Variable::default();
        for value in values {
            match value.cast::<PyString>() {
                Ok(text) => variable.push(text.to_cow()?.as_bytes()),
                Err(_) => variable.push(value.cast::<PyBytes>()?.as_bytes()),
            }
        }
        let dtype = array.schema.dtype;
        let elements = Elements { dtype, values: Values::Variable(variable), validity };
        wait(py, self.file().write_elements(name, start, shape, elements))
    }

    /// Makes a chunk what it was before it was written; whether it had been written.
    fn erase_chunk(&self, py: Python<'_>, name: &str, coords: Vec<u64>) -> PyResult<bool> {
        wait(py, self.file().erase_chunk(name, coords))
    }

    fn is_written(&self, py: Python<'_>, name: &str, coords: Vec<u64>) -> PyResult<bool> {
        wait(py, self.file.is_written(name, &coords))
    }

    /// The element type of each array, and whether its elements are numbers as they are: no nulls, and no more to its type than the file's.
    fn element_types(&self, py: Python<'_>, names: Vec<String>) -> PyResult<Vec<(String, bool)>> {
        wait(py, async {
            let snapshot = self.file.snapshot();
            let mut types = Vec::with_capacity(names.len());
            for name in &names {
                let array = snapshot.array(name).await?;
                let hidden = array.attribute_names.iter().any(|a| a == "array_format.dtype");
                let plain =
                    matches!(array.schema.dtype, DType::Scalar(_)) && !array.schema.nullable && !hidden;
                types.push((array.schema.dtype.to_string(), plain));
            }
            Ok(types)
        })
    }

    /// Many whole arrays of numbers of one type: their shapes, and all numbers (or their bytes), one array after the other.
    fn read_many<'py>(&self, py: Python<'py>, names: Vec<String>) -> PyResult<Many<'py>> {
        let Some(first) = names.first() else {
            return Ok((Vec::new(), PyArray1::<u8>::zeros(py, 0, false).into_any()));
        };
        let DType::Scalar(item) = wait(py, self.file.array(first))?.schema.dtype else {
            let e = Error::new(ErrorKind::InvalidArgument, "arrays of numbers can be read together");
            return Err(raised(&e));
        };
        // Those that many small arrays are of; the code for each of them takes as long to compile as all the rest.
        match item {
            Scalar::F32 => self.ragged::<f32>(py, &names),
            Scalar::F64 => self.ragged::<f64>(py, &names),
            Scalar::I32 => self.ragged::<i32>(py, &names),
            Scalar::I64 => self.ragged::<i64>(py, &names),
            other => {
                let (shapes, bytes) = wait(py, self.one_by_one(&names, other.size_bytes()))?;
                Ok((shapes, PyArray1::from_vec(py, bytes).into_any()))
            }
        }
    }

    /// Writes the pending changes to an object of their own, for another process to join.
    fn detach<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut file = self.file();
        let receipt = wait(py, async move { file.detach().await })?;
        Ok(PyBytes::new(py, &receipt.to_bytes()))
    }

    fn join(&self, py: Python<'_>, receipts: Vec<Vec<u8>>) -> PyResult<()> {
        wait(py, async {
            let receipts = parse(&receipts)?;
            self.file().join(&receipts).await
        })
    }

    fn abandon(&self, py: Python<'_>, receipts: Vec<Vec<u8>>) -> PyResult<()> {
        wait(py, async {
            let receipts = parse(&receipts)?;
            self.file.abandon(&receipts).await
        })
    }
}

fn parse(receipts: &[Vec<u8>]) -> Result<Vec<array_format::Receipt>> {
    receipts.iter().map(|r| array_format::Receipt::from_bytes(r)).collect()
}

/// Shapes, and an array of one dimension.
type Many<'py> = (Vec<Vec<usize>>, Bound<'py, PyAny>);

impl Handle {
    fn ragged<'py, T: ArrayElement + numpy::Element>(
        &self,
        py: Python<'py>,
        names: &[String],
    ) -> PyResult<Many<'py>> {
        let read = wait(py, self.file.read_ragged::<T>(names))?;
        let shapes = (0..read.len()).filter_map(|i| read.shape(i)).map(<[usize]>::to_vec).collect();
        Ok((shapes, PyArray1::from_vec(py, read.into_values()).into_any()))
    }

    async fn one_by_one(&self, names: &[String], size: usize) -> Result<(Vec<Vec<usize>>, Vec<u8>)> {
        let snapshot = self.file.snapshot();
        let (mut shapes, mut all) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            let shape = snapshot.array(name).await?.shape;
            let shape: Vec<usize> = shape.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect();
            let bytes = shape.iter().try_fold(size, |n, extent| n.checked_mul(*extent)).unwrap_or(usize::MAX);
            let no_room = |_| Error::invalid(format!("{bytes} bytes do not fit into memory")).in_array(name);
            all.try_reserve(bytes).map_err(no_room)?;
            let at = all.len();
            all.resize(at + bytes, 0);
            let place = all.get_mut(at..).unwrap_or_default();
            snapshot.read_bytes(name, vec![], vec![], vec![], place, None).await?;
            shapes.push(shape);
        }
        Ok((shapes, all))
    }
}
