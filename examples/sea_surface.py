"""Real data to a picture: monthly sea surface temperatures from NetCDF into one file, a correction as a second version, and what changed.

Run it with an environment in which the package, xarray, netCDF4 and matplotlib are installed: python examples/sea_surface.py picture.png
"""

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import xarray as xr

import array_format as af
import array_format.xarray

picture = sys.argv[1] if len(sys.argv) > 1 else "sea_surface.png"
source = Path(__file__).parent.parent / "data" / "ostia_monthly.nc"

with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/ocean.af"

    # NetCDF to one file of many arrays: one atomic version. A chunk a month; NaN for what is missing keeps it out of the statistics.
    with xr.open_dataset(source) as monthly:
        missing = {"surface_temperature": {"_FillValue": float("nan"), "dtype": "float32", "chunks": (1, 18, 432)}}
        monthly.array_format.save(path, group="ostia", encoding=missing, message="monthly means of OSTIA")

    # A correction of one month is a version of its own, as large as what it changes.
    with xr.open_dataset(path, group="ostia") as sst:
        january = sst[["surface_temperature"]].reset_coords(drop=True).isel(time=slice(0, 1)) + 0.1
        january.array_format.save(path, group="ostia", region="auto", message="January was too cold by 0.1 K")

    with af.open(path) as file:
        print(file)
        for version in file.versions():
            print(f"version {version.number}: {version.layer_bytes:>9,} bytes  {version.message}")
        print({name: len(change.chunks) for name, change in file.diff(1).items()}, "chunks changed")
        known = file["ostia/surface_temperature"].stats
        print(f"{known.min} to {known.max} K, {known.nans} of {known.size} missing: known without reading data")

    with xr.open_dataset(path, group="ostia") as now, xr.open_dataset(path, group="ostia", version=1) as before:
        figure, axes = plt.subplots(3, 1, figsize=(10, 6), constrained_layout=True)
        now["surface_temperature"].mean("time").plot(ax=axes[0], cmap="turbo")
        axes[0].set_title("Sea surface temperature, mean of all months")
        now["surface_temperature"].isel(latitude=9).plot(ax=axes[1], x="longitude", cmap="turbo")
        axes[1].set_title("Along one latitude, month by month")
        (now - before)["surface_temperature"].isel(latitude=9, time=slice(0, 6)).plot(ax=axes[2], x="longitude", cmap="RdBu_r")
        axes[2].set_title("What version 2 changed")
        figure.savefig(picture, dpi=80)
print("wrote", picture)
