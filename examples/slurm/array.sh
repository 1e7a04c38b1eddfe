#!/bin/sh
# From a login node, in tmux or as a small job of its own: the driver submits job arrays of up to 16 workers and waits for them.
# Each worker has 4 cores and a budget of 8 GiB; Slurm is asked for the cores and a little more memory than that.
# Everything named here, the program too, must be on storage that all nodes see under the same path.
set -eu
arrayctl rechunk "$SCRATCH/era5.zarr" "$SCRATCH/series.zarr" --chunks time=-1,latitude=19,longitude=36 \
  --engine slurm --work-dir "$SCRATCH/blockwise" --workers 16 --threads 4 --memory 8GiB \
  --time 2:00:00 --partition compute
