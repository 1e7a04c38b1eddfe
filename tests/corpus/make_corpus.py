#!/usr/bin/env python3
"""Deterministic corpus of good and bad chunked-array inputs.

usage: make_corpus.py OUTDIR [--no-special]      (OUTDIR is replaced)
Needs: numpy numcodecs(encoders) google_crc32c h5py netCDF4.  Zarr stores are written by hand
(not by zarr-python) so the bytes do not depend on its version.  manifest.json: one record per case.

record: id, path (relative), node ("" or path inside container), kind zarr2|zarr3|hdf5|netcdf4,
  expect "ok"|"error", why, tags[],
  either (errors): the values in alt are accepted as well; only crash, hang, abort or other values fail
  strict (ok):     must be an error when missing chunks are errors (a chunk is absent, fill_value stands for it)
  alt:             a second accepted reading, same keys as the values below
  decoded:         values after CF unpacking (the main values are the raw stored ones)
  stage (errors): metadata|open|read|plan   = latest stage by which it must be refused
  optional (ok):  a clean "unsupported" refusal is accepted, wrong values never are
  ok values: shape dtype(numpy name, native byte order) chunks sum min max (strings; python repr /
  exact ints; nan-skipping for floats) nan_count sha256 (C order, little endian, raw stored values)
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections import Counter

import cases
import hdf5
import hdf5_bad
import netcdf
import zarr2
import zarr2_bad
import zarr3
import zarr3_bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--no-special", action="store_true", help="no fifo/symlink/sparse cases")
    a = ap.parse_args()
    cases.ROOT = OUT = os.path.abspath(a.out)
    if os.path.exists(OUT):
        if os.listdir(OUT) and not os.path.exists(os.path.join(OUT, "manifest.json")):
            sys.exit("refusing: %s is not a corpus" % OUT)
        shutil.rmtree(OUT)
    os.makedirs(OUT)
    zarr2.good()
    zarr2_bad.bad_stores()
    zarr3.good()
    zarr3_bad.bad_stores()
    hdf5.good()
    hdf5_bad.bad_files()
    netcdf.files()
    if not a.no_special:
        zarr2_bad.special()
    ids = [c["id"] for c in cases.CASES]
    assert len(ids) == len(set(ids)), [i for i in ids if ids.count(i) > 1]
    cases.wj(os.path.join(OUT, "manifest.json"), dict(format=1, cases=cases.CASES))
    h = hashlib.sha256()
    size = 0
    n = 0
    for d, ds, fs in os.walk(OUT):
        ds.sort()
        for f in sorted(fs):
            p = os.path.join(d, f)
            s = os.lstat(p)
            n += 1
            size += s.st_blocks * 512
            h.update(os.path.relpath(p, OUT).encode())
            if os.path.isfile(p) and not os.path.islink(p):
                h.update(open(p, "rb").read())
    print(
        json.dumps(
            dict(
                cases=len(cases.CASES),
                by=Counter(c["kind"] + ":" + c["expect"] for c in cases.CASES),
                optional_ok=sum(1 for c in cases.CASES if c.get("optional")),
                files=n,
                disk_bytes=size,
                tree_sha256=h.hexdigest(),
            ),
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
