#!/usr/bin/env bash
# Licences, sources and advisories of all dependencies (deny.toml), as far as this machine can check them.
set -euo pipefail
cargo=${CARGO:-cargo}
if ! "$cargo" deny --version >/dev/null 2>&1; then
  echo "deny: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)"
  exit 0
fi
"$cargo" deny --all-features check licenses bans sources
if "$cargo" deny fetch db >/dev/null 2>&1; then
  "$cargo" deny --all-features check advisories
else
  echo "deny: advisories were not checked, their database could not be fetched"
fi
