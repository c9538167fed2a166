//! Values of attributes and statistics, to Python and back: the name of the type, and bytes, text or a list of these. numpy makes the rest of it.

use array_format::{DType, Error, Scalar, ScalarValue, Value};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::errors::raised;

/// `("f32", b"...")`, `("string", "...")`, `("list<i64>", b"...")`, `("list<string>", ["..."])`.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyTuple>> {
    let payload: Bound<'py, PyAny> = match value {
        Value::Scalar(s) => PyBytes::new(py, s.bytes()).into_any(),
        Value::String(s) => PyString::new(py, s).into_any(),
        Value::Binary(b) => PyBytes::new(py, b).into_any(),
        Value::List { bytes, .. } => PyBytes::new(py, bytes).into_any(),
        Value::StringList(l) => PyList::new(py, l)?.into_any(),
        Value::BinaryList(l) => PyList::new(py, l.iter().map(|b| PyBytes::new(py, b)))?.into_any(),
    };
    PyTuple::new(py, [PyString::new(py, &value.type_name()).into_any(), payload])
}

pub(crate) fn from_python(kind: &str, payload: &Bound<'_, PyAny>) -> PyResult<Value> {
    Ok(match kind {
        "string" => Value::String(payload.extract()?),
        "binary" => Value::Binary(payload.extract()?),
        "list<string>" => Value::StringList(payload.extract()?),
        "list<binary>" => Value::BinaryList(payload.extract()?),
        _ => {
            let bytes: Vec<u8> = payload.extract()?;
            let dtype: DType = kind.parse().map_err(|e| raised(&e))?;
            match dtype {
                DType::Scalar(item) => {
                    Value::Scalar(ScalarValue::from_bytes(item, &bytes).map_err(|e| raised(&e))?)
                }
                DType::List { item } => Value::List { item, bytes },
                _ => return Err(raised(&Error::invalid(format!("no attribute is of type {kind}")))),
            }
        }
    })
}

/// One value or none for each of many: `("f64", bytes, present)` where all are numbers of one type, `("string", [...])` with `None` where there is
/// none, else `("mixed", [(type, payload) or None, ...])`.
pub(crate) fn column_to_python<'py>(
    py: Python<'py>,
    values: &[Option<Value>],
) -> PyResult<Bound<'py, PyTuple>> {
    let mut some = values.iter().flatten();
    let first = some.next();
    if let Some(Value::Scalar(one)) = first
        && some.all(|v| matches!(v, Value::Scalar(s) if s.item() == one.item()))
    {
        return scalars(py, one.item(), values);
    }
    if values.iter().flatten().all(|v| matches!(v, Value::String(_))) {
        let texts = values.iter().map(|v| v.as_ref().and_then(Value::as_str));
        let texts = PyList::new(py, texts.collect::<Vec<_>>())?.into_any();
        return PyTuple::new(py, [PyString::new(py, "string").into_any(), texts]);
    }
    let list = PyList::empty(py);
    for value in values {
        match value {
            Some(value) => list.append(to_python(py, value)?)?,
            None => list.append(py.None())?,
        }
    }
    PyTuple::new(py, [PyString::new(py, "mixed").into_any(), list.into_any()])
}

fn scalars<'py>(py: Python<'py>, item: Scalar, values: &[Option<Value>]) -> PyResult<Bound<'py, PyTuple>> {
    let zero = vec![0; item.size_bytes()];
    let mut bytes = Vec::with_capacity(values.len() * item.size_bytes());
    let mut present = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Some(Value::Scalar(s)) => bytes.extend_from_slice(s.bytes()),
            _ => bytes.extend_from_slice(&zero),
        }
        present.push(u8::from(value.is_some()));
    }
    let name = PyString::new(py, item.name()).into_any();
    PyTuple::new(py, [name, PyBytes::new(py, &bytes).into_any(), PyBytes::new(py, &present).into_any()])
}
