"""Opens an HDF5 file and reads every object and attribute of it."""

import sys

import h5py

with h5py.File(sys.argv[1]) as root:
    root.visititems(lambda name, node: (dict(node.attrs), node[:1] if isinstance(node, h5py.Dataset) else None) and None)
