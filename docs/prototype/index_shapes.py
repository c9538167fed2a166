"""Which index structure? Encodes the index of workload P and counts bytes for six shapes; README.md beside it tells the outcome.

    python3.11 -m venv target/shapes && target/shapes/bin/pip install -q numpy==2.4.6 zstandard==0.25.0
    target/shapes/bin/python docs/prototype/index_shapes.py          # 10^5 and 10^6 arrays, 3 to 7 minutes on one core

Every byte that is counted was encoded (columns of docs/format.md section 4, zstd level 3 a page); only the CRC-32C is a CRC-32 here.
"""
import sys
import zlib
import numpy as np
import zstandard

KIB = 1024
ZSTD = zstandard.ZstdCompressor(level=3)
NAME = 20  # bytes of "profile/0001234/TEMP"
BLOCK = 64 * KIB
MAX_ROWS = 1 << 16  # of a page
OUTER = 128 + 64  # trailer and header of a layer


# ---- columns ------------------------------------------------------------------------------------------------------

def varint(v):
    out = bytearray()
    while v > 127:
        out.append(v & 127 | 128)
        v >>= 7
    return bytes(out) + bytes([v])


def width_of(v):
    return (int(v).bit_length() + 7) // 8


def planes(u, width):
    return np.ascontiguousarray(u.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T).tobytes()


def ints(values):
    """An integer column in the shorter of its two forms."""
    v = np.asarray(values, dtype=np.int64)
    if len(v) == 0:
        return b"\0\0\0"
    base = int(v.min())
    width = width_of(int(v.max()) - base)
    if len(v) > 1 and width:
        d = np.diff(v)
        low = int(d.min())
        dwidth = width_of(int(d.max()) - low)
        if dwidth < width:
            zigzag = low << 1 if low >= 0 else (-low << 1) - 1
            return b"\1" + varint(int(v[0])) + varint(zigzag) + bytes([dwidth]) + planes(d - low, dwidth)
    return b"\0" + varint(base) + bytes([width]) + planes(v - base, width)


def front_coded(names):
    """`names`: uint8 [n, NAME]."""
    shared = np.zeros(len(names), np.int64)
    shared[1:] = np.cumprod(names[1:] == names[:-1], axis=1).sum(axis=1)
    rest = names[np.arange(NAME)[None, :] >= shared[:, None]]
    return ints(shared) + ints(NAME - shared) + rest.tobytes()


def text(s):
    return varint(len(s)) + s


def f32_planes(v):
    return np.ascontiguousarray(v.astype("<f4").view(np.uint8).reshape(-1, 4).T).tobytes()


def objects(numbers):
    return varint(len(numbers)) + b"".join(b"\0" + varint(int(k)) for k in numbers)


def stored(raw):
    return min(ZSTD.compress(raw), raw, key=len)


# ---- workload P ---------------------------------------------------------------------------------------------------

class Blocks:
    """All blocks of the file, by a global number."""

    def __init__(self):
        self.object, self.number, self.offset, self.stored, self.decoded, self.crc = (np.zeros(0, np.int64) for _ in range(6))

    def add(self, rng, layer, decoded):
        n = len(decoded)
        kept = (decoded * rng.uniform(0.75, 0.85, n)).astype(np.int64)
        more = dict(object=np.full(n, layer), number=np.arange(n), offset=64 + np.cumsum(kept) - kept, stored=kept, decoded=decoded,
                    crc=rng.integers(0, 2**32, n))
        for name, values in more.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        return int(kept.sum())


class File:
    """The present state of every array, in the order of names (and of ids). Three arrays a profile."""

    KEYS = (b"data_mode", b"platform_number", b"units")

    def __init__(self, n, seed=1):
        self.rng = rng = np.random.default_rng(seed)
        self.n = n
        which = np.arange(n) % 3
        names = np.char.add(np.char.add("profile/", np.char.zfill((np.arange(n) // 3).astype(str), 7)), np.array(["/PRES", "/PSAL", "/TEMP"])[which])
        self.names = names.astype("S20").view(np.uint8).reshape(n, NAME)
        self.elements = rng.integers(16, 201, n)  # independent of its neighbours: the hard case
        self.schema = which
        self.version, self.chunk_version, self.stats_version = (np.zeros(n, np.int64) for _ in range(3))
        self.block, self.offset = (np.zeros(n, np.int64) for _ in range(2))
        self.low, self.high = (np.zeros(n, np.float32) for _ in range(2))
        self.nulls, self.nans = (np.zeros(n, np.int64) for _ in range(2))
        self.blocks = Blocks()
        self.write(np.arange(n), 0)
        platforms = [b"%07d" % p for p in rng.choice(9_999_999, 500, replace=False)]
        self.attributes = {  # key: index of the value of every array, the values
            b"data_mode": (rng.choice(3, n, p=[0.1, 0.1, 0.8]), [b"A", b"D", b"R"]),
            b"platform_number": (rng.integers(0, 500, n), platforms),
            b"units": (which, [b"dbar", b"psu", b"degree_Celsius"]),
        }

    def write(self, rows, layer):
        """New values for `rows`, packed in blocks of 64 KiB. Returns the stored bytes."""
        rng, m = self.rng, len(rows)
        length = self.elements[rows] * 4
        end = np.cumsum(length)
        block = (end - 1) // BLOCK
        first = np.concatenate([[True], block[1:] != block[:-1]])
        start = (end - length)[first]
        ids = np.cumsum(first) - 1
        self.block[rows] = len(self.blocks.object) + ids
        self.offset[rows] = end - length - start[ids]
        self.chunk_version[rows] = self.stats_version[rows] = layer
        centre = np.array([1000.0, 35.0, 12.0])[self.schema[rows]]
        spread = np.array([900.0, 2.0, 10.0])[self.schema[rows]]
        a, b = (centre + spread * rng.uniform(-1, 1, m) for _ in range(2))
        self.low[rows], self.high[rows] = np.round(np.minimum(a, b), 2), np.round(np.maximum(a, b), 2)
        nulls = rng.uniform(size=m) < 0.05
        self.nulls[rows] = nulls * rng.integers(1, 16, m)
        nans = rng.uniform(size=m) < 0.1
        self.nans[rows] = nans * rng.integers(1, 16, m)
        return self.blocks.add(rng, layer, np.bincount(ids, weights=length).astype(np.int64))

    # pages: rows are positions in the order of names

    def node_columns(self, rows):
        used, chunk = np.unique(self.block[rows], return_inverse=True)
        b = self.blocks
        owners, owner = np.unique(b.object[used], return_inverse=True)
        schemas, schema = np.unique(self.schema[rows], return_inverse=True)
        blocks = objects(owners) + varint(1) + b"\2\4zstd\0" + varint(len(used)) + ints(owner) + b"".join(
            ints(c[used]) for c in (b.number, b.offset, b.stored, b.decoded, np.zeros(len(b.crc), int), np.zeros(len(b.crc), int), b.crc))
        return {
            "path": front_coded(self.names[rows]), "kind": ints(np.full(len(rows), 2)), "version": ints(self.version[rows]), "id": ints(rows + 1),
            "schema": ints(schema) + varint(len(schemas)) + b"".join(text(b"\x0c\x02\x01\x08N_LEVELS\x04\0\0\xc0\x7f\x01\x01\0" + bytes([s])) for s in schemas),
            "key set": ints(np.zeros(len(rows), int)) + varint(1) + varint(3) + b"".join(map(text, self.KEYS)),
            "shape": ints(self.elements[rows]), "blocks": blocks, "chunk": ints(1 + chunk), "chunk offset": ints(self.offset[rows]),
            "chunk length": ints(4 * self.elements[rows]), "chunk version": ints(self.chunk_version[rows]),
        }

    def stats_columns(self, rows):
        return {
            "id": ints(rows + 1), "version": ints(self.stats_version[rows]), "flags": ints(np.full(len(rows), 3)), "type": ints(np.full(len(rows), 12)),
            "minima": f32_planes(self.low[rows]), "maxima": f32_planes(self.high[rows]),
            "counts": ints(self.elements[rows]) + ints(self.nulls[rows]) + ints(self.nans[rows]),
        }

    def page(self, table, rows):
        columns = self.node_columns(rows) if table == 1 else self.stats_columns(rows)
        return bytes([table]) + varint(len(rows)) + b"".join(columns.values()) + b"\0"

    def key(self, table, row):
        return self.names[row].tobytes() if table == 1 else int(row + 1).to_bytes(8, "big")

    def attribute_page(self, key, rows):
        index, values = self.attributes[key]
        used, local = np.unique(index[rows], return_inverse=True)
        return (b"\3" + varint(len(rows)) + b"\1" + text(key) + varint(len(rows)) + ints(rows + 1) + ints(np.zeros(len(rows), int)) + b"\1" +
                varint(len(used)) + b"".join(b"\x20" + text(values[v]) for v in used) + ints(1 + local) + b"\0")


# ---- pages, directories, roots ------------------------------------------------------------------------------------

class Ref:
    """A page reference."""

    def __init__(self, raw, layer, rows, first):
        kept = stored(raw)
        self.size, self.decoded, self.crc, self.layer, self.rows, self.first, self.offset = len(kept), len(raw), zlib.crc32(kept), layer, rows, first, 0


def place(refs, at):
    for r in refs:
        r.offset, at = at, at + r.size
    return at


def directory(refs, table, level):
    layers = sorted({r.layer for r in refs})
    where = {k: i for i, k in enumerate(layers)}
    firsts = [r.first for r in refs]
    shared = [0] + [next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b))) for a, b in zip(firsts, firsts[1:])]
    rest = [f[s:] for f, s in zip(firsts, shared)]
    return (bytes([16, table, level]) + varint(len(refs)) + objects(layers) + b"".join(ints(c) for c in (
        [where[r.layer] for r in refs], [r.offset for r in refs], [r.size for r in refs], [r.decoded for r in refs], [2 for _ in refs],
        [r.crc for r in refs], [r.rows for r in refs], shared, [len(r) for r in rest])) + b"".join(rest) + text(firsts[-1] if firsts else b"") + b"\0")


def cut(n, rows):
    return [(i, min(i + rows, n)) for i in range(0, n, rows)]


def rows_for(encode, n, target):
    """Rows of a page so that it takes about `target` stored bytes."""
    rows = min(n, 256)
    for _ in range(6):
        at = (n - rows) // 2
        rows = int(np.clip(rows * target / len(stored(encode(np.arange(at, at + rows)))), 8, min(n, MAX_ROWS)))
    return rows


class Run:
    """Rows of nodes and statistics as pages of one layer; `rows` are positions in the order of names."""

    def __init__(self, file, rows, layer, page_rows):
        self.rows, at = rows, 64
        self.refs = {t: [Ref(file.page(t, rows[a:b]), layer, b - a, file.key(t, rows[a])) for a, b in cut(len(rows), page_rows[t])] for t in (1, 4)}
        for refs in self.refs.values():
            at = place(refs, at)
        self.size = sum(r.size for refs in self.refs.values() for r in refs)

    def directories(self):
        return [directory(refs, t, 0) for t, refs in self.refs.items()]


def root(file, layer, parts, rng):
    """Stored root and trailer of version `layer`, all layers since 0 still needed. `parts`: encoded directories."""
    n = layer + 1
    lengths = [rng.integers(2_000, 90_000, n) for _ in range(4)]
    listed = objects(range(n)) + b"".join(map(ints, lengths)) + rng.bytes(16 * n)
    return OUTER + len(stored(b"\x20" + varint(layer) + bytes(20) + listed + b"".join(map(text, parts)) + bytes(4)))


def pages_of_a_tree(refs, table, target):
    """Directory pages of about `target` stored bytes, and how many references one takes."""
    size = len(stored(directory(refs, table, 0))) / len(refs)
    fan = max(8, int(target / size))
    return fan, [Ref(directory(refs[a:b], table, 0), refs[a].layer, b - a, refs[a].first) for a, b in cut(len(refs), fan)]


# ---- shapes -------------------------------------------------------------------------------------------------------

class Base:
    """The index of a compacted file: pages of `target` bytes of all three tables."""

    def __init__(self, file, target):
        self.target = target
        self.page_rows = {t: rows_for(lambda rows, t=t: file.page(t, rows), file.n, target) for t in (1, 4)}
        self.run = Run(file, np.arange(file.n), 0, self.page_rows)
        self.attributes = {}
        for key in File.KEYS:
            rows = rows_for(lambda rows, key=key: file.attribute_page(key, rows), file.n, target)
            self.attributes[key] = [Ref(file.attribute_page(key, np.arange(a, b)), 0, b - a, key + b"\0" + file.key(4, a)) for a, b in cut(file.n, rows)]
        every = [r for refs in self.attributes.values() for r in refs]
        place(every, 64 + self.run.size)
        self.tables = {1: self.run.refs[1], 3: every, 4: self.run.refs[4]}
        self.sizes = {t: sum(r.size for r in refs) for t, refs in self.tables.items()}
        self.flat = [directory(refs, t, 0) for t, refs in self.tables.items()]
        self.fan, self.tops, self.top_refs = {}, [], {}
        for t, refs in self.tables.items():
            self.fan[t], self.top_refs[t] = pages_of_a_tree(refs, t, target)
        self.directory_bytes = sum(r.size for refs in self.top_refs.values() for r in refs)
        self.size = sum(self.sizes.values()) + self.directory_bytes

    def top(self):
        return [directory(refs, t, 1) for t, refs in self.top_refs.items()]


class Tree:
    """Shape 1: copy-on-write pages, path copy."""

    def __init__(self, file, base):
        self.file, self.base = file, base
        self.leaves = {t: list(base.run.refs[t]) for t in (1, 4)}
        self.tops = {t: list(refs) for t, refs in base.top_refs.items()}

    def commit(self, rows, layer):
        written, at = 0, 64
        for t in (1, 4):
            per, fan = self.base.page_rows[t], self.base.fan[t]
            touched = np.unique(rows // per)
            for leaf in touched:
                span = np.arange(leaf * per, min((leaf + 1) * per, self.file.n))
                self.leaves[t][leaf] = new = Ref(self.file.page(t, span), layer, len(span), self.file.key(t, span[0]))
                at = place([new], at)
                written += new.size
            for d in np.unique(touched // fan):
                refs = self.leaves[t][d * fan:(d + 1) * fan]
                self.tops[t][d] = new = Ref(directory(refs, t, 0), layer, len(refs), refs[0].first)
                at = place([new], at)
                written += new.size
        self.root = root(self.file, layer, [directory(refs, t, 1) for t, refs in self.tops.items()], self.file.rng)
        return written + self.root

    def consulted(self):
        return "1, " + kib(lookup(self.base, "tree")[1])

    def open_bytes(self):
        return self.root


class Runs:
    """Shapes 2, 4, 5, 6: sorted runs above the base. `merges(total, run)` says whether the newest run joins what is written now."""

    def __init__(self, file, base, merges, inline, fold=0):
        self.file, self.base, self.merges, self.inline, self.fold = file, base, merges, inline, fold
        self.runs = []  # newest first
        self.changed = np.zeros(file.n, np.int64)  # layer that changed a row
        self.page_rows = {t: rows_for(lambda rows, t=t: file.page(t, rows), file.n, 8 * KIB) for t in (1, 4)}  # of the runs above the base
        self.step = base.page_rows[4] * 12  # rows that one turn of folding moves into the base
        self.folded = np.zeros(-(-file.n // self.step), np.int64)
        self.hand = 0

    def live(self, rows):
        return rows[self.changed[rows] > self.folded[rows // self.step]]

    def commit(self, rows, layer):
        self.changed[rows] = layer
        new = Run(self.file, rows, layer, self.page_rows)
        while self.runs and self.merges(new.size, self.runs[0].size):
            rows = np.union1d(rows, self.live(self.runs.pop(0).rows))
            new = Run(self.file, rows, layer, self.page_rows)
        self.runs.insert(0, new)
        written = new.size
        if sum(r.size for r in self.runs) > self.fold > 0:
            written += self.fold_next(layer, 64 + new.size)
        inner = [d for r in self.runs for d in r.directories()]
        self.root = root(self.file, layer, inner + (self.base.flat if self.inline else self.base.top()), self.file.rng)
        return written + self.root

    def fold_next(self, layer, at):
        """The next span of the base is written anew with its newest rows; runs that hold nothing newer go."""
        start, end = self.hand * self.step, min((self.hand + 1) * self.step, self.file.n)
        written = 0
        for t in (1, 4):
            per, refs = self.base.page_rows[t], self.base.run.refs[t]
            for leaf in range(start // per, -(-end // per)):
                span = np.arange(leaf * per, min((leaf + 1) * per, self.file.n))
                refs[leaf] = Ref(self.file.page(t, span), layer, len(span), self.file.key(t, span[0]))
                written += refs[leaf].size
                at = place([refs[leaf]], at)
        self.base.flat = [directory(refs, t, 0) for t, refs in self.base.tables.items()]
        self.folded[self.hand] = layer
        self.hand = (self.hand + 1) % len(self.folded)
        self.runs = [r for r in self.runs if len(self.live(r.rows))]
        return written

    def consulted(self):
        """Runs, and bytes of their node pages; those of the newest run came with the open."""
        read = [np.mean([r.size for r in run.refs[1]]) for run in self.runs[1:] + [self.base.run]]
        if not self.inline:
            read.append(np.mean([r.size for r in self.base.top_refs[1]]))
        return f"{len(self.runs) + 1}, {kib(sum(read))}"

    def open_bytes(self):
        return self.root + (self.runs[0].size if self.runs else 0)


class Flat:
    """Shape 3: one manifest, rewritten whole."""

    def __init__(self, file, size):
        self.file, self.size = file, size

    def commit(self, rows, layer):
        self.root = self.size + root(self.file, layer, [], self.file.rng)
        return self.root

    def consulted(self):
        return "1, 0"

    def open_bytes(self):
        return self.root


# ---- measuring ----------------------------------------------------------------------------------------------------

def kib(v):
    return f"{v / KIB:,.1f}" if v < 100 * KIB else f"{v / KIB:,.0f}"


def replay(make, n, commits, spread, every=1):
    """First commit, sum, largest and the state after `commits`; with `every` only each so-manieth commit is encoded."""
    file = File(n)
    shape, costs = make(file), []
    for layer in range(1, commits + 1):
        rows = np.sort(file.rng.choice(n, spread, replace=False))
        file.write(rows, layer)
        if layer % every == 0 or layer == 1:
            costs.append(shape.commit(rows, layer))
    return costs[0], sum(costs) * commits / len(costs), max(costs), shape


def lookup(base, shape_kind):
    """Pages and bytes that a lookup by name reads after the open, in the base alone."""
    leaf = np.mean([r.size for r in base.tables[1]])
    if shape_kind == "inline":
        return 1, leaf
    return 2, leaf + np.mean([r.size for r in base.top_refs[1]])


def table_of_columns(file):
    rows = np.arange(file.n // 2, file.n // 2 + 2000)
    for name, columns in (("nodes", file.node_columns(rows)), ("statistics", file.stats_columns(rows))):
        print(f"- {name}: " + ", ".join(f"{c} {len(stored(b)) / len(rows):.2f}" for c, b in columns.items() if len(stored(b)) > 40))
    end = file.offset[rows] + 4 * file.elements[rows]
    follows = np.concatenate([[False], file.block[rows][1:] == file.block[rows][:-1]])
    gap = file.offset[rows] - np.where(follows, np.roll(end, 1), 0)
    print(f"- instead: chunk offset as the gap after the row before {len(stored(ints(gap))) / len(rows):.2f}, "
          "chunk length as the difference to what the shape says 0.00")


def attributes_row_wise(file, rows):
    """The same attributes sorted by (array, key): one page of `rows`."""
    out = []
    for key in range(3):
        index, values = file.attributes[File.KEYS[key]]
        used, local = np.unique(index[rows], return_inverse=True)
        out.append((key, [b"\x20" + text(values[v]) for v in used], local))
    values = b"".join(v for _, vs, _ in out for v in vs)
    starts = np.cumsum([0] + [len(vs) for _, vs, _ in out])
    local = np.stack([l + starts[k] for k, _, l in out], axis=1).ravel()
    return stored(values + ints(np.repeat(rows, 3)) + ints(np.tile(np.arange(3), len(rows))) + ints(local))


def main():
    sizes = {}
    for n in (100_000, 1_000_000):
        for target in (1, 4, 16, 32, 64):
            base = Base(File(n), target * KIB)
            sizes[n, target] = base.size / n
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000

    capped = lambda total, run: total + run <= 128 * KIB
    binary = lambda total, run: run <= 2 * total
    tiered = lambda total, run: total + run <= 128 * KIB or (run <= 2 * total and total + run <= 512 * KIB)
    shapes = [(f"1 tree, {t} KiB pages", t, "tree", lambda f, t=t: Tree(f, Base(f, t * KIB)), 20) for t in (1, 4, 16, 32, 64)]
    for t in (16, 32, 64):
        shapes.append((f"2 delta run of 128 KiB, {t} KiB, directory in the root", t, "inline", lambda f, t=t: Runs(f, Base(f, t * KIB), capped, True), 1))
    shapes.append(("2 the same, 16 KiB, directory pages", 16, "tree", lambda f: Runs(f, Base(f, 16 * KIB), capped, False), 1))
    shapes.append(("3 flat manifest", 0, "flat", None, 1))
    shapes.append(("4 binary counter, 32 KiB, directory in the root", 32, "inline", lambda f: Runs(f, Base(f, 32 * KIB), binary, True), 1))
    shapes.append(("5 as 2, then doubling to 512 KiB, 32 KiB", 32, "inline", lambda f: Runs(f, Base(f, 32 * KIB), tiered, True), 1))
    shapes.append(("6 as 5, folding into the base above 512 KiB", 32, "inline", lambda f: Runs(f, Base(f, 32 * KIB), tiered, True, fold=512 * KIB), 1))

    print("| shape | index, B an array, of 10^5 and 10^6 | open | lookup: pages, KiB | commit of 1: first, largest | 1,000 of them | then open | lookup: runs, KiB "
          "| commit of 1,000 spread: first, largest | 100 of them | then open | lookup: runs, KiB |")
    print("|---" * 12 + "|")
    for name, target, kind, make, every in shapes:
        if kind == "flat":
            blobs = {m: Base(File(m), 1 << 20) for m in (100_000, n)}
            per = ", ".join(f"{b.size / m:.2f}" for m, b in blobs.items())
            make = lambda f, s=blobs[n].size: Flat(f, s)
            fresh, pages = blobs[n].size, "0, 0"
        else:
            base = Base(File(n), target * KIB)
            per = f"{sizes[100_000, target]:.2f}, {sizes[1_000_000, target]:.2f}"
            file = File(10)
            fresh = root(file, 0, base.flat if kind == "inline" else base.top(), file.rng)
            count, size = lookup(base, kind)
            pages = f"{count}, {kib(size)}"
        one = replay(make, n, 1000, 1)
        many = replay(make, n, 100, 1000, every)
        print(f"| {name} | {per} | {kib(fresh)} | {pages} | {kib(one[0])}, {kib(one[2])} | {kib(one[1])} | {kib(one[3].open_bytes())} | {one[3].consulted()} "
              f"| {kib(many[0])}, {kib(many[2])} | {kib(many[1])} | {kib(many[3].open_bytes())} | {many[3].consulted()} |", flush=True)

    file = File(n)
    base = Base(file, 32 * KIB)
    rows = rows_for(lambda rows: attributes_row_wise(file, rows), n, 32 * KIB)
    row_wise = sum(len(attributes_row_wise(file, np.arange(a, b))) for a, b in cut(n, rows))
    print(f"\nScan of one attribute over {n:,} arrays, KiB, sorted by (key, id): " + ", ".join(
        f"{k.decode()} {kib(sum(r.size for r in refs))}" for k, refs in base.attributes.items()) + f"; sorted by (id, key): {kib(row_wise)} for any of them.")
    print("Scan of all statistics: " + kib(base.sizes[4]) + "; nodes: " + kib(base.sizes[1]) + "; directories: " + kib(base.directory_bytes) + ".")
    file_root = root(file, 0, [], file.rng)
    print(f"The list of objects in a root: {(root(file, 1000, [], file.rng) - file_root) / 1000:.1f} B a layer (in every shape).\n\nStored bytes an array and column, each column compressed alone, 2,000 rows; columns below 0.02 left out:")
    table_of_columns(file)


main()
