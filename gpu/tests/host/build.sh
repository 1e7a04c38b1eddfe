#!/bin/sh
# Builds libcuda.so.1 and libnvrtc.so.13, also under the names without a version, that compute on the CPU (driver.cpp, nvrtc.cpp) into FOLDER, with the C++ compiler CXX (c++).
# usage: build.sh FOLDER    Exit 77 without a compiler.
set -eu
folder=$1
cd "$(dirname "$0")"
cxx=${CXX:-c++}
command -v "$cxx" >/dev/null || exit 77
flags="-std=c++17 -O1 -w -shared -fPIC -pthread"
"$cxx" $flags -o "$folder/libcuda.so.1" driver.cpp device.cpp -ldl
"$cxx" $flags -o "$folder/libnvrtc.so.13" nvrtc.cpp
# Where there are real ones, none of them is found under another name.
ln -s libcuda.so.1 "$folder/libcuda.so"
ln -s libnvrtc.so.13 "$folder/libnvrtc.so"
