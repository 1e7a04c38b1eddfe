#!/usr/bin/env bash
# Installs Debian packages when root or sudo without a password allows, else prints the command to run and fails.
# usage: apt.sh PACKAGE...
set -euo pipefail
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null && { [ -z "$sudo" ] || $sudo true 2>/dev/null; }; then
  echo "installing $* with apt-get" >&2
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get -q -y install "$@" >&2 || { $sudo apt-get -q update >&2 && $sudo apt-get -q -y install "$@" >&2; }
else
  echo "missing here: $*. Install and run make again; on Debian or Ubuntu:" >&2
  echo "  sudo apt-get install -y $*" >&2
  exit 1
fi
