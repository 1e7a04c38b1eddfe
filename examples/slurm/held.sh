#!/bin/sh
# One allocation of 8 workers is held for all stages: best for many short stages, such as a decomposition.
# If the driver dies, the same command with --resume goes on with what is done.
set -eu
arrayctl svd "$SCRATCH/era5.zarr::t2m" -k 20 --center --power-iter 1 -o "$SCRATCH/pca.zarr" \
  --engine slurm --hold --work-dir "$SCRATCH/blockwise" --workers 8 --threads 8 --memory 16GiB --time 4:00:00
