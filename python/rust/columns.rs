//! What is known across all arrays, as columns.

use array_format::{Statistics, Value};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyTuple};

use crate::file::Handle;
use crate::values;
use crate::wait;

/// Minimum, maximum, rows, nulls, NaNs; what is not known is `None`.
type Known<'py> =
    (Option<Bound<'py, PyTuple>>, Option<Bound<'py, PyTuple>>, Option<u64>, Option<u64>, Option<u64>, bool);

fn known<'py>(py: Python<'py>, s: &Statistics) -> PyResult<Known<'py>> {
    let value = |v: Option<&Value>| v.map(|v| values::to_python(py, v)).transpose();
    let counts = s.counts.as_ref();
    let (rows, nulls, nans) = (counts.map(|c| c.rows), counts.map(|c| c.nulls), counts.map(|c| c.nans));
    Ok((value(s.min())?, value(s.max())?, rows, nulls, nans, s.loose))
}

/// A bound from Python.
fn bound(given: Option<(String, Bound<'_, PyAny>)>) -> PyResult<Option<Value>> {
    given.map(|(kind, payload)| values::from_python(&kind, &payload)).transpose()
}

/// Names, elements; columns of minima and maxima; rows, nulls, NaNs, which are -1 where they are not known.
type Table<'py> = (
    Vec<String>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    [Bound<'py, PyArray1<i64>>; 3],
);

#[pymethods]
impl Handle {
    /// Elements of an array, written or not, and what is known of them.
    fn statistics<'py>(&self, py: Python<'py>, name: &str) -> PyResult<(u64, Known<'py>)> {
        let s = wait(py, self.file().statistics(name))?;
        Ok((s.elements, known(py, &s.statistics)?))
    }

    fn statistics_column<'py>(&self, py: Python<'py>) -> PyResult<Table<'py>> {
        let all = wait(py, self.file().statistics_index())?;
        let (mut names, mut elements) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
        let (mut min, mut max) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
        let mut counts: [Vec<i64>; 3] = Default::default();
        for array in all {
            names.push(array.name);
            elements.push(array.elements);
            let known = array.statistics.counts.map(|c| [c.rows, c.nulls, c.nans]);
            for (i, column) in counts.iter_mut().enumerate() {
                let n = known.and_then(|k| k.get(i).copied());
                column.push(n.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX)));
            }
            let (low, high) = array.statistics.bounds.unzip();
            min.push(low);
            max.push(high);
        }
        let (min, max) = (values::column_to_python(py, &min)?, values::column_to_python(py, &max)?);
        let counts = counts.map(|c| PyArray1::from_vec(py, c));
        Ok((names, PyArray1::from_vec(py, elements), min, max, counts))
    }

    /// Paths of all arrays and groups that have an attribute, and its values.
    fn attribute_column<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> PyResult<(Vec<String>, Bound<'py, PyTuple>)> {
        let index = wait(py, self.file().attribute_index(name))?;
        let (names, all): (Vec<_>, Vec<_>) = index.into_iter().map(|(name, v)| (name, Some(v))).unzip();
        Ok((names, values::column_to_python(py, &all)?))
    }

    /// Grid coordinates, first element, shape, whether the place is known, statistics: of all written chunks, or of those that may hold a value between
    /// two bounds.
    #[pyo3(signature = (name, low=None, high=None))]
    fn chunks<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        low: Option<(String, Bound<'py, PyAny>)>,
        high: Option<(String, Bound<'py, PyAny>)>,
    ) -> PyResult<Vec<(Vec<u64>, Vec<u64>, Vec<u64>, bool, Known<'py>)>> {
        let (low, high) = (bound(low)?, bound(high)?);
        let chunks = match (&low, &high) {
            (None, None) => wait(py, self.file().chunks(name))?,
            _ => wait(py, self.file().chunks_where(name, low, high))?,
        };
        let row = |c: array_format::ChunkInfo| {
            Ok((c.coords, c.start, c.shape, c.address.is_some(), known(py, &c.statistics)?))
        };
        chunks.into_iter().map(row).collect()
    }
}
