#!/usr/bin/env python3
"""Compares what af reads of a file with what netCDF4-python reads.

    check_import.py SOURCE.nc DUMP.json
    check_import.py --run COMMAND SOURCE.nc...     runs COMMAND on each file and takes its output

The dump, which `cargo run -p array-format-cli --example dump_source FILE` prints, is an object:

    {"groups":  [{"path": "",                     "" is the root, "a/b" a group inside a
                  "dimensions": [{"name": "x", "len": 3, "unlimited": false}],
                  "attributes": ATTRIBUTES}],
     "arrays":  [{"name": "a/b/v",                full path
                  "dtype": "f32",                 our name of the element type: i8, u8, f32, string, list<f32> ...
                  "char": false,                  u8 that are characters
                  "dims": ["x"], "shape": [3],
                  "chunks": null, "fill": null,   not compared: extents in the file; one element in hexadecimal
                  "sha256": "...",
                  "attributes": ATTRIBUTES}],
     "skipped": [{"name": "v", "attribute": null, "reason": "..."}]}

`sha256` is that of all elements in row-major order: numbers and characters little-endian, one after another; strings
each with their length in bytes before them, lists each with their number of items (u64, little-endian).

ATTRIBUTES is {name: {"type": T, "value": V}}. T is an element type, `list<...>` of one, `string`, `list<string>` or
`binary` (in hexadecimal). Integers are numbers, floating-point numbers "0x" and their bits in hexadecimal, so that
NaN and -0.0 are exact. One number is a scalar, any other count a list: netCDF does not tell them apart.
"""

import json
import pathlib
import shlex
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import compare  # noqa: E402


def dumped(command, path):
    """The output of a command on a file; an error of the command is told by what it prints."""
    done = subprocess.run([*shlex.split(command), path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def main(arguments):
    """0: all agree, 1: something differs, 2: wrong arguments."""
    if len(arguments) >= 3 and arguments[0] == "--run":
        pairs = [(path, None) for path in arguments[2:]]
    elif len(arguments) == 2:
        pairs = [tuple(arguments)]
    else:
        print(__doc__, file=sys.stderr)
        return 2
    bad = arrays = 0
    for path, dump in pairs:
        try:
            found = json.loads(pathlib.Path(dump).read_text()) if dump else dumped(arguments[1], path)
            wanted = compare.expected(path)
            lines = list(compare.differences(wanted, found))
            arrays += len(wanted["arrays"])
        except (OSError, RuntimeError) as error:
            lines = [f"error: {error}"]
        bad += bool(lines)
        for line in lines:
            print(f"{path}: {line}")
    print(f"{len(pairs) - bad} of {len(pairs)} files agree, {arrays} variables")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
