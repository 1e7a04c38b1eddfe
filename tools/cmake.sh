#!/usr/bin/env bash
# Prints the path of a cmake that can build libhdf5 (3.26 or newer): $CMAKE, the one on the path, the distribution's
# package if that is new enough, else the wheel of PyPI in a private environment under $CACHE. Also checks for cargo and
# a C compiler, since every build starts here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
need_major=3 need_minor=26 wheel=cmake==3.31.10

new_enough() { # VERSION
  local major minor
  IFS=. read -r major minor _ <<<"$1"
  [[ "$major" =~ ^[0-9]+$ && "$minor" =~ ^[0-9]+$ ]] || return 1
  ((major > need_major || (major == need_major && minor >= need_minor)))
}
version_of() { "$1" --version 2>/dev/null | sed -n '1s/^cmake version \([0-9.]*\).*/\1/p'; }

if ! command -v "${CARGO:-cargo}" >/dev/null; then
  echo "cargo is missing: install Rust with rustup (https://rustup.rs) and run make again" >&2
  exit 1
fi
command -v "${CC:-cc}" >/dev/null || "$here/apt.sh" build-essential

for candidate in ${CMAKE:-} cmake; do
  if path=$(command -v "$candidate") && new_enough "$(version_of "$path")"; then echo "$path"; exit 0; fi
done
offered=$(apt-cache policy cmake 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
if new_enough "${offered:-0.0}" && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
  "$here/apt.sh" cmake
  command -v cmake
  exit 0
fi

cache=${CACHE:-$here/../.cache}
venv=$cache/cmake-venv
if ! [ -x "$venv/bin/cmake" ]; then
  python=$("$here/python.sh" venv)
  echo "installing $wheel into $venv" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check "$wheel" >&2
fi
echo "$venv/bin/cmake"
