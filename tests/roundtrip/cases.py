"""Small files with what real ones seldom have, made by netCDF4-python and h5py."""

import h5py
import netCDF4
import numpy

NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
CLASSIC = ["i1", "i2", "i4", "f4", "f8"]


def fill_classic(dataset, types):
    """What every netCDF format can hold."""
    dataset.createDimension("t", None)
    dataset.createDimension("x", 3)
    dataset.createDimension("unused", 7)
    dataset.createDimension("letters", 5)
    for i, of in enumerate(types):
        v = dataset.createVariable(f"fixed_{of}", of, ("x",))
        v[:] = numpy.array([0, 1, 100]).astype(of)
        v.one = numpy.array([i]).astype(of)[0]
        v.many = numpy.array([1, 2, 3]).astype(of)
        r = dataset.createVariable(f"record_{of}", of, ("t", "x"), fill_value=numpy.array(9).astype(of)[()])
        r[0:4] = (numpy.arange(12).reshape(4, 3) % 100).astype(of)
    scalar = dataset.createVariable("scalar", "f8")
    scalar[...] = -0.0
    scalar.bits = numpy.array([numpy.nan, -0.0, numpy.inf, 5e-324])
    unwritten = dataset.createVariable("unwritten", "i4", ("t", "x"))
    unwritten.scale_factor = 0.5
    odd = dataset.createVariable("odd_records", "i1", ("t",))
    odd[:] = numpy.arange(4).astype("i1")
    chars = dataset.createVariable("chars", "S1", ("x", "letters"))
    chars[:] = numpy.array([list("abc\0\0"), list("  d  "), list("\0\0\0\0\0")], dtype="S1")
    dataset.createVariable("one_char", "S1", ())[...] = b"q"
    nan = dataset.createVariable("nan", "f4", ("x",), fill_value=numpy.float32(numpy.nan))
    nan[:] = numpy.array([0x7FC00001, 0xFF800000, 0x80000000], dtype="u4").view("f4")
    dataset.title = "a title, with ünïcode"
    dataset.empty = ""
    dataset.setncattr("with space", "x ")


def classic(path, file_format, types):
    with netCDF4.Dataset(path, "w", format=file_format) as dataset:
        fill_classic(dataset, types)


def nothing(path, file_format):
    with netCDF4.Dataset(path, "w", format=file_format):
        pass


def no_records(path, file_format):
    with netCDF4.Dataset(path, "w", format=file_format) as dataset:
        dataset.createDimension("t", None)
        dataset.createDimension("x", 3)
        dataset.createVariable("v", "f4", ("t", "x"))
        dataset.createVariable("t", "f8", ("t",)).units = "days"


def layouts(path):
    """Chunks, filters, byte orders, unwritten chunks, shared unlimited dimensions of different lengths."""
    with netCDF4.Dataset(path, "w") as dataset:
        fill_classic(dataset, NUMBERS)
        dataset.createDimension("y", 50)
        dataset.createDimension("z", 41)
        data = numpy.random.default_rng(1).normal(size=(50, 41))
        for name, options in {
            "zlib": {"zlib": True}, "shuffled": {"zlib": True, "shuffle": True, "complevel": 9},
            "fletcher": {"fletcher32": True}, "contiguous": {"contiguous": True},
            "chunked": {"chunksizes": (7, 10)}, "big": {"endian": "big", "chunksizes": (50, 41)},
        }.items():  # fmt: skip
            v = dataset.createVariable(name, "f8", ("y", "z"), **options)
            v[:] = data
        partly = dataset.createVariable("partly", "i4", ("y", "z"), chunksizes=(10, 10), fill_value=-7)
        partly[15:17, 20:35] = 1
        short = dataset.createVariable("short", "f4", ("t", "x"), chunksizes=(2, 3))
        short[0:2] = 1.5
        long = dataset.createVariable("long", "f4", ("t",))
        long[0:11] = numpy.arange(11)
        big = dataset.createVariable("big_i2", ">i2", ("x",), endian="big")
        big[:] = [1, 2, 3]
        big.attribute = numpy.array([1, 2], dtype=">i4")


def types(path):
    """Strings, lists, enums, compounds, in groups that share dimensions."""
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("x", 3)
        dataset.createDimension("t", None)
        dataset.setncattr_string("one_string", "ß")
        dataset.setncattr("strings", ["a", "", "long " * 50])
        strings = dataset.createVariable("strings", str, ("x",))
        strings[:] = numpy.array(["", "änd", "x" * 5000], dtype=object)
        unwritten = dataset.createVariable("unwritten_strings", str, ("t",))
        unwritten[2] = "third"
        dataset.createVariable("string", str, ())[...] = "alone"
        for of in ("i2", "f8"):
            kind = dataset.createVLType(of, f"list_{of}")
            lists = dataset.createVariable(f"lists_{of}", kind, ("x",))
            lists[0] = numpy.array([1, 2, 3], of)
            lists[2] = numpy.array([], of)
        colour = dataset.createEnumType("u1", "colour_t", {"red": 0, "green": 200})
        enum = dataset.createVariable("enum", colour, ("x",), fill_value=200)
        enum[0:2] = [0, 200]
        compound = dataset.createCompoundType(numpy.dtype([("a", "i4"), ("b", "f8")]), "compound_t")
        dataset.createVariable("compound", compound, ("x",))
        pair = dataset.createCompoundType(numpy.dtype([("r", "f4"), ("i", "f4")]), "pair_t")
        number = dataset.createVariable("complex", pair, ("x",))
        number[:] = numpy.array([(1, 2), (3, -0.0), (5, 6)], dtype=[("r", "f4"), ("i", "f4")])
        a = dataset.createGroup("a")
        a.note = "group"
        a.createDimension("y", 2)
        a.createDimension("x", 4)  # hides that of the root
        a.createVariable("y", "f4", ("y",))[:] = [1, 2]
        a.createVariable("v", "i4", ("t", "y", "x"))[1] = 5
        b = a.createGroup("b")
        b.createVariable("v", "f4", ("y",))[:] = [1, 2]
        dataset.createGroup("empty")
        dataset.createDimension("label", 2)
        dataset.createDimension("width", 4)
        dataset.createVariable("label", "S1", ("label", "width"))[0] = list("abcd")
        dataset.createDimension("late", 2)
        dataset.createVariable("late", "f4", ("x",))[:] = 1  # called like a dimension that it has not
        attributed = dataset.createVariable("attributed", "f4")
        for i in range(30):  # so many are stored in another way
            attributed.setncattr(f"attribute_{i:02}", i / 7)
        attributed.last = "é" * 3000


def plain_hdf5(path):
    """No netCDF in it: anonymous dimensions, and what netCDF has no word for."""
    with h5py.File(path, "w") as file:
        file["square"] = numpy.arange(16, dtype="i4").reshape(4, 4)
        file["group/four"] = numpy.arange(4, dtype="f4")
        file["group/deep/five"] = numpy.arange(5, dtype=">i2")
        file["scalar"] = 1.25
        file.create_dataset("grows", data=numpy.arange(6.0).reshape(2, 3), maxshape=(None, 3), chunks=(1, 3))
        file["text"] = numpy.array([b"abc", b"", b"de"], dtype="S6")
        file["square"].attrs["matrix"] = numpy.arange(3)
        file["square"].attrs["fixed"] = numpy.bytes_("fixed text")
        file["axis"] = numpy.array([0.5, 1.5, 2.5])
        file["axis"].make_scale("another name")


def only_hdf5(path):
    """What netCDF4-python cannot open at all."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["half"] = numpy.array([1, 0.5, -0.0], "f2")
        file["half"].attrs["NAME"] = "the user's own"
        file["zero"] = numpy.zeros((0, 4))
        file["bool"] = numpy.array([True, False])
        file["complex"] = numpy.array([1 + 2j])
        file["array"] = numpy.zeros(2, dtype=[("x", "f4", (3,))])["x"]
        file.create_dataset("opaque", data=numpy.array([b"abc", b"def"], dtype="V3"))
        file.create_dataset("empty", data=h5py.Empty("f4"))
        file["reference"] = numpy.array([file["half"].ref], dtype=h5py.ref_dtype)
        file["half"].attrs["reference"] = file["bool"].ref
        file["half"].attrs["ragged"] = numpy.array(
            [numpy.array([1, 2], "i4"), numpy.array([3], "i4")], dtype=h5py.vlen_dtype("i4")
        )
        file["latin"] = numpy.array([b"caf\xe9"], dtype="S4")
        file["half"].attrs["latin"] = numpy.bytes_(b"caf\xe9")
        # A scale for one axis only: netCDF 4.10.1 opens the same bytes only about every second time.
        file["scaled"] = numpy.array([[1, 2], [3, 4], [5, 6]], "u1")
        file["axis"] = numpy.array([0.5, 1.5, 2.5])
        file["axis"].make_scale("another name")
        file["scaled"].dims[0].attach_scale(file["axis"])
        file["loop/itself"] = file["/"]
        file["nowhere"] = h5py.SoftLink("/no/such/thing")
        file["elsewhere"] = h5py.ExternalLink("another.h5", "/x")


CASES = {
    "classic.nc": lambda p: classic(p, "NETCDF3_CLASSIC", CLASSIC),
    "offset64.nc": lambda p: classic(p, "NETCDF3_64BIT_OFFSET", CLASSIC),
    "cdf5.nc": lambda p: classic(p, "NETCDF3_64BIT_DATA", NUMBERS),
    "classic4.nc": lambda p: classic(p, "NETCDF4_CLASSIC", CLASSIC),
    "no_records3.nc": lambda p: no_records(p, "NETCDF3_CLASSIC"),
    "no_records4.nc": lambda p: no_records(p, "NETCDF4"),
    "nothing3.nc": lambda p: nothing(p, "NETCDF3_CLASSIC"),
    "nothing4.nc": lambda p: nothing(p, "NETCDF4"),
    "layouts.nc": layouts,
    "types.nc": types,
    "plain.h5": plain_hdf5,
}
