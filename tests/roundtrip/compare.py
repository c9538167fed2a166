"""What an independent reader, netCDF4-python, says of a file, in the terms of `af` (see check_import.py).

`expected(path)` gives the structure, `differences(expected, found)` says what does not agree. Values are raw: no
masks, no scaling, characters as u8. netCDF4-python cannot see opaque variables, and it deletes NULs within text.
"""

import hashlib
import struct

import netCDF4
import numpy

NAMES = {
    "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64",
    "f2": "f16", "f4": "f32", "f8": "f64", "c8": "complex64", "c16": "complex128", "b1": "bool",
}  # fmt: skip


def scalar_name(dtype):
    """Our name of a numpy dtype, or None."""
    return NAMES.get(numpy.dtype(dtype).str[1:])


def little_endian(values):
    """The bytes of an array, row-major and little-endian."""
    values = numpy.asarray(values)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def attribute(value):
    """An attribute as {"type", "value"}."""
    if isinstance(value, str):
        return {"type": "string", "value": value}
    if isinstance(value, list):
        return {"type": "list<string>", "value": value}
    array = numpy.asarray(value).ravel()
    name = scalar_name(array.dtype)
    if name is None:
        return {"type": f"unknown: {array.dtype}", "value": str(value)}
    if array.dtype.kind == "f":
        big = array.astype(array.dtype.newbyteorder(">")).tobytes()
        width = array.dtype.itemsize
        values = ["0x" + big[i : i + width].hex() for i in range(0, len(big), width)]
    else:
        values = [int(v) for v in array]
    if len(values) == 1:
        return {"type": name, "value": values[0]}
    return {"type": f"list<{name}>", "value": values}


def attributes(owner):
    """All attributes of a dataset, group or variable."""
    return {name: attribute(owner.getncattr(name)) for name in owner.ncattrs()}


def complex_dtype(dtype):
    """The complex number that a compound of two floating-point numbers stands for, or None."""
    names = [("r", "i"), ("re", "im"), ("real", "imag"), ("real", "imaginary")]
    if dtype.names in names and dtype[0] == dtype[1] and dtype[0].str[1:] in ("f4", "f8"):
        return numpy.dtype("<c8" if dtype[0].itemsize == 4 else "<c16")
    return None


def prefixed(values, width=1):
    """Elements of varying length, each with its length before it."""
    return b"".join(struct.pack("<Q", len(v) // width) + v for v in values)


def objects(data):
    """The elements of an array of objects, or the one object."""
    if isinstance(data, numpy.ndarray) and data.dtype == object:
        return list(data.ravel())
    return [data]


def variable(found, path):
    """A variable as check_import.py describes it, or None if af leaves it out."""
    found.set_auto_maskandscale(False)
    found.set_auto_chartostring(False)
    found.set_always_mask(False)
    data = found[...]
    char = False
    if isinstance(found.datatype, netCDF4.CompoundType):
        number = complex_dtype(found.dtype)
        if number is None:
            return None
        dtype = scalar_name(number)
        parts = [numpy.asarray(data)[name].astype(f"<f{number.itemsize // 2}") for name in found.dtype.names]
        raw = numpy.stack(parts, axis=-1).tobytes()
    elif found.dtype is str:
        dtype = "string"
        raw = prefixed([v.encode() for v in (objects(data) if found.size else [])])
    elif isinstance(found.datatype, netCDF4.VLType):
        item = numpy.dtype(found.datatype.dtype)
        dtype = f"list<{scalar_name(item)}>"
        lists = objects(data) if found.size else []
        raw = prefixed([little_endian(v) for v in lists], item.itemsize)
    elif found.dtype.kind == "S":
        dtype, char = "u8", True
        raw = numpy.asarray(data).tobytes()
    else:
        dtype = scalar_name(found.dtype)
        raw = little_endian(data)
    return {
        "name": path + found.name,
        "dtype": dtype,
        "char": char,
        "dims": list(found.dimensions),
        "shape": list(found.shape),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "attributes": attributes(found),
    }


def walk(group, path, out):
    """Adds a group and all below it to `out`."""
    dimensions = [
        {"name": d.name, "len": len(d), "unlimited": d.isunlimited()} for d in group.dimensions.values()
    ]
    out["groups"].append({"path": path, "dimensions": dimensions, "attributes": attributes(group)})
    prefix = path + "/" if path else ""
    for found in group.variables.values():
        described = variable(found, prefix)
        if described is None:
            out["skipped"].append({"name": prefix + found.name})
        else:
            out["arrays"].append(described)
    for name, child in group.groups.items():
        walk(child, prefix + name, out)


def expected(path):
    """The structure of check_import.py for a file, as netCDF4-python reads it."""
    out = {"groups": [], "arrays": [], "skipped": []}
    with netCDF4.Dataset(path) as dataset:
        walk(dataset, "", out)
    return out


def anonymous(dimension):
    """Whether a dimension has no name. The netCDF library takes one of the same length for it, even a named one."""
    return dimension.startswith("phony_dim_")


def without_nuls(value):
    """Text as netCDF4-python gives it."""
    if isinstance(value, list):
        return [without_nuls(v) for v in value]
    return value.replace("\0", "") if isinstance(value, str) else value


def differing_attributes(where, wanted, found):
    """Differences between two sets of attributes."""
    for name in sorted(wanted.keys() | found.keys()):
        ours = found.get(name)
        if ours and "string" in ours["type"]:
            ours = {"type": ours["type"], "value": without_nuls(ours["value"])}
        if wanted.get(name) != ours:
            yield f"{where}: attribute {name}: {wanted.get(name)} expected, {ours} found"


def differences(wanted, found):
    """What `found`, our dump, has otherwise than `wanted`. Empty if all agree."""
    groups = [{g["path"]: g for g in side["groups"]} for side in (wanted, found)]
    for path in sorted(groups[0].keys() | groups[1].keys()):
        a, b = (side.get(path) for side in groups)
        where = f"group {path!r}"
        if not a or not b:
            yield f"{where}: only {'expected' if a else 'found'}"
            continue
        named = [[d for d in side["dimensions"] if not anonymous(d["name"])] for side in (a, b)]
        dimensions = [{d["name"]: d for d in side} for side in named]
        if dimensions[0] != dimensions[1]:
            yield f"{where}: dimensions {a['dimensions']} expected, {b['dimensions']} found"
        yield from differing_attributes(where, a["attributes"], b["attributes"])
    arrays = [{v["name"]: v for v in side["arrays"]} for side in (wanted, found)]
    reasons = {s["name"]: s["reason"] for s in found["skipped"] if s["attribute"] is None}
    for name in sorted(arrays[0].keys() | arrays[1].keys()):
        a, b = (side.get(name) for side in arrays)
        where = f"variable {name!r}"
        if a and not b:
            yield f"{where}: not found: {reasons.get(name, 'without a reason')}"
        elif not a:
            opaque = b["dtype"].startswith("list<u8; ")
            if not opaque:
                yield f"{where}: found, but not expected"
        else:
            agree = [x == y or anonymous(y) for x, y in zip(a["dims"], b["dims"], strict=False)]
            if len(a["dims"]) != len(b["dims"]) or not all(agree):
                yield f"{where}: dims: {a['dims']} expected, {b['dims']} found"
            for key in ("dtype", "char", "shape", "sha256"):
                if a[key] != b[key]:
                    yield f"{where}: {key}: {a[key]} expected, {b[key]} found"
            yield from differing_attributes(where, a["attributes"], b["attributes"])
    for name in sorted({s["name"] for s in wanted["skipped"]} - reasons.keys()):
        yield f"variable {name!r}: cannot be imported, and nothing says so"
