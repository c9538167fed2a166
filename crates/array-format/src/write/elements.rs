//! Elements of boxes: cut out, put in, checked.

use array_format_core::buffer::{Elements, Values, Variable};
use array_format_core::dtype::DType;
use array_format_core::element::ArrayElement;
use array_format_core::grid::{CopyPlan, Overlap, element_count};
use array_format_core::schema::ArraySchema;
use array_format_core::{Error, Result};
use ndarray::{ArrayViewD, Axis, Slice};

/// The elements of a chunk whose box changed.
pub(super) fn reshape(schema: &ArraySchema, before: &Elements, old: &[u64], new: &[u64]) -> Result<Elements> {
    let mut after = Elements::filled(schema, element_count(new)?)?;
    let kept: Vec<u64> = old.iter().zip(new).map(|(a, b)| *a.min(b)).collect();
    let zero = vec![0; old.len()];
    let side = |cell: &[u64]| Overlap {
        cell: cell.to_vec(),
        in_cell: zero.clone(),
        step: vec![1; cell.len()],
        in_region: zero.clone(),
        count: kept.clone(),
    };
    let part = part_of(before, old, &Overlap { in_region: zero.clone(), ..side(new) });
    overwrite(&mut after, &part, &side(new))?;
    Ok(after)
}

/// Puts the dense elements of an overlap in a chunk's elements.
pub(super) fn overwrite(chunk: &mut Elements, part: &Elements, overlap: &Overlap) -> Result<()> {
    let dense = Overlap { in_region: vec![0; overlap.count.len()], ..overlap.clone() };
    let plan = dense.to_cell(&overlap.count);
    match (&mut chunk.values, &part.values) {
        (Values::Fixed(to), Values::Fixed(from)) => {
            plan.copy_bytes(from, 0, to, chunk.dtype.fixed_size_bytes().unwrap_or(1))?;
        }
        (Values::Variable(to), Values::Variable(from)) => {
            let mut source: Vec<Option<usize>> = vec![None; to.len()];
            plan.for_each_run(|s, t, n| {
                for k in 0..n {
                    if let Some(slot) = source.get_mut(t + k) {
                        *slot = Some(s + k);
                    }
                }
            });
            let mut merged = Variable::default();
            for (i, s) in source.into_iter().enumerate() {
                merged.push(s.map_or_else(|| to.get(i), |s| from.get(s)));
            }
            *to = merged;
        }
        _ => return Err(Error::invalid("elements of another type")),
    }
    match (&mut chunk.validity, &part.validity) {
        (Some(to), Some(from)) => plan.copy_bytes(from, 0, to, 1),
        _ => Ok(()),
    }
}

/// The elements of an overlap, dense, from elements of a box of `shape`.
pub(super) fn part_of(elements: &Elements, shape: &[u64], overlap: &Overlap) -> Elements {
    let plan = dense(overlap).to_cell(shape);
    let n = overlap.count.iter().product::<u64>() as usize;
    let values = match &elements.values {
        Values::Fixed(bytes) => {
            Values::Fixed(gather(&plan, n, bytes, elements.dtype.fixed_size_bytes().unwrap_or(1)))
        }
        Values::Variable(v) => {
            let mut out = Variable::default();
            plan.for_each_run(|s, _, len| (s..s + len).for_each(|i| out.push(v.get(i))));
            Values::Variable(out)
        }
    };
    let validity = elements.validity.as_ref().map(|v| gather(&plan, n, v, 1));
    Elements { dtype: elements.dtype, values, validity }
}

/// The same from a caller's bytes.
pub(super) fn part_of_bytes(
    dtype: DType,
    values: &[u8],
    validity: Option<&[u8]>,
    shape: &[u64],
    overlap: &Overlap,
) -> Elements {
    let plan = dense(overlap).to_cell(shape);
    let n = overlap.count.iter().product::<u64>() as usize;
    let size = dtype.fixed_size_bytes().unwrap_or(1);
    let validity = validity.map(|v| gather(&plan, n, v, 1));
    Elements { dtype, values: Values::Fixed(gather(&plan, n, values, size)), validity }
}

fn dense(overlap: &Overlap) -> Overlap {
    Overlap {
        cell: overlap.count.clone(),
        in_cell: vec![0; overlap.count.len()],
        step: vec![1; overlap.count.len()],
        ..overlap.clone()
    }
}

/// `n` items of `size` bytes, those that a plan names.
fn gather(plan: &CopyPlan, n: usize, source: &[u8], size: usize) -> Vec<u8> {
    let mut out = vec![0; n * size];
    plan.for_each_run(|s, t, len| {
        if let (Some(dst), Some(src)) =
            (out.get_mut(t * size..(t + len) * size), source.get(s * size..(s + len) * size))
        {
            dst.copy_from_slice(src);
        }
    });
    out
}

/// The elements of an overlap from the user's view.
pub(super) fn from_view<T: ArrayElement>(view: &ArrayViewD<'_, T>, overlap: &Overlap) -> Result<Elements> {
    let mut part = view.view();
    for (axis, (from, n)) in overlap.in_region.iter().zip(&overlap.count).enumerate() {
        let range = *from as usize..(*from + *n) as usize;
        part.slice_axis_inplace(Axis(axis), Slice::from(range));
    }
    Ok(all_of(&part))
}

/// All elements of the user's view.
pub(super) fn all_of<T: ArrayElement>(part: &ArrayViewD<'_, T>) -> Elements {
    let mut values = Values::empty(T::DTYPE);
    if let (Values::Fixed(bytes), Some(size)) = (&mut values, T::DTYPE.fixed_size_bytes()) {
        bytes.reserve_exact(part.len() * size);
    }
    let mut validity = T::NULLABLE.then(|| Vec::with_capacity(part.len()));
    match part.as_slice() {
        Some(all) => T::put_all(all, &mut values),
        None => {
            for row in part.rows() {
                match row.as_slice() {
                    Some(row) => T::put_all(row, &mut values),
                    None => row.iter().for_each(|e| e.put(&mut values)),
                }
            }
        }
    }
    if let Some(v) = &mut validity {
        v.extend(part.iter().map(|e| u8::from(e.is_valid())));
    }
    Elements { dtype: T::DTYPE, values, validity }
}

pub(super) fn check_elements(schema: &ArraySchema, shape: &[u64], elements: &Elements) -> Result<()> {
    let n = element_count(shape)?;
    if elements.dtype != schema.dtype {
        return Err(Error::invalid(format!(
            "the array has elements of {}, not {}",
            schema.dtype, elements.dtype
        )));
    }
    if elements.validity.is_some() && !schema.nullable {
        return Err(Error::invalid("the array has no validity mask"));
    }
    let mask_fits = elements.validity.as_ref().is_none_or(|v| v.len() == n && v.iter().all(|b| *b <= 1));
    let fits = match (&elements.values, schema.dtype.fixed_size_bytes()) {
        (Values::Fixed(bytes), Some(size)) => Some(bytes.len()) == n.checked_mul(size),
        (Values::Variable(v), None) => {
            let sorted = v.ends.windows(2).all(|w| w[0] <= w[1]);
            v.len() == n && sorted && v.ends.last().copied().unwrap_or(0) == v.data.len() as u64
        }
        _ => false,
    };
    if !fits || !mask_fits {
        return Err(Error::invalid(format!("the elements are not the {n} that shape {shape:?} makes")));
    }
    // What is stored is checked when it is read; nothing may be written that could not be read back.
    let mut bytes = Vec::new();
    if schema.dtype.item() != Some(array_format_core::Scalar::Bool) && !schema.dtype.is_variable() {
        return Ok(());
    }
    let plain = ArraySchema { filters: Vec::new(), ..schema.clone() };
    let masked = Elements { validity: schema.nullable.then(|| vec![1; n]), ..elements.clone() };
    array_format_core::chunk::encode(&plain, &masked, &mut bytes)?;
    array_format_core::chunk::decode(&plain, n, &bytes).map_err(|e| Error::invalid(e.message()))?;
    Ok(())
}

/// The same of a caller's bytes.
pub(super) fn check_bytes(
    schema: &ArraySchema,
    shape: &[u64],
    values: &[u8],
    validity: Option<&[u8]>,
) -> Result<()> {
    let n = element_count(shape)?;
    let Some(size) = schema.dtype.fixed_size_bytes() else {
        return Err(Error::invalid(format!("elements of {} have no fixed size", schema.dtype)));
    };
    if validity.is_some() && !schema.nullable {
        return Err(Error::invalid("the array has no validity mask"));
    }
    let mask_fits = validity.is_none_or(|v| v.len() == n && v.iter().all(|b| *b <= 1));
    if Some(values.len()) != n.checked_mul(size) || !mask_fits {
        return Err(Error::invalid(format!("the bytes are not the {n} elements that shape {shape:?} makes")));
    }
    if schema.dtype.item() == Some(array_format_core::Scalar::Bool) && values.iter().any(|b| *b > 1) {
        return Err(Error::invalid("a bool that is neither 0 nor 1"));
    }
    Ok(())
}
