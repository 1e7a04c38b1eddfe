#!/usr/bin/env bash
# Prints cargo's target folder, wherever CARGO_TARGET_DIR or a configuration file put it.
set -euo pipefail
"${CARGO:-cargo}" metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
