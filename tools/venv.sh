#!/usr/bin/env bash
# Makes a Python virtual environment from a pinned list and prints the path of its interpreter.
# usage: venv.sh NAME REQUIREMENTS      it lives in $CACHE/NAME-venv and is made again when the list changes
# What stands in REQUIREMENTS-bare.txt (beside REQUIREMENTS.txt) is installed without its dependencies.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${CACHE:-$here/../.cache}
venv=$cache/$1-venv
bare=${2%.txt}-bare.txt
lists=("$2")
if [ -e "$bare" ]; then lists+=("$bare"); fi
stamp=$venv/made-from-$(cat "${lists[@]}" | sha256sum | cut -c1-16)
if ! [ -e "$stamp" ]; then
  python=$("$here/python.sh" venv)
  echo "making $venv from $2" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$2" >&2
  if [ -e "$bare" ]; then "$venv/bin/pip" install -q --disable-pip-version-check --no-deps -r "$bare" >&2; fi
  touch "$stamp"
fi
echo "$venv/bin/python"
