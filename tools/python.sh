#!/usr/bin/env bash
# Prints the path of a Python 3.11 or newer; installs one with apt-get when root or sudo allows, else says what to run.
# usage: python.sh [venv]      venv: it must be able to make virtual environments with pip
# PYTHON names another interpreter.
set -euo pipefail
want=${1:-}

good() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || return 1
  [ "$want" != venv ] || "$1" -c 'import venv, ensurepip' 2>/dev/null
}

for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if path=$(command -v "$candidate") && good "$path"; then echo "$path"; exit 0; fi
done
"$(dirname "$0")/apt.sh" python3 python3-venv >&2
if good python3; then command -v python3; exit 0; fi
echo "tools/python.sh: Python 3.11 or newer with venv is needed and this system's python3 is not: install one and run" >&2
echo "  make ... PYTHON=/path/to/python3.11" >&2
exit 1
