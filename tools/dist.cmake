# What libhdf5 is told for a release (tools/dist.sh): nothing of where it was built is to be in the program.
# Neither the text of its settings, with all paths and flags,
set(HDF5_ENABLE_EMBEDDED_LIBINFO OFF CACHE BOOL "")
# nor a folder of plug-ins beside the build, where anybody could put some. Only the system's is left.
set(H5_DEFAULT_PLUGINDIR "/usr/local/hdf5/lib/plugin" CACHE STRING "")
