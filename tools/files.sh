#!/usr/bin/env bash
# Two rules for Rust files: each opens with a `//!` that says what it is, and none is longer than 600 lines.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
while IFS= read -r file; do
  [ -f "$file" ] || continue
  if ! head -n 3 "$file" | grep -q '^//!'; then
    echo "$file: does not open with //!"
    bad=1
  fi
  lines=$(wc -l <"$file")
  if ((lines > 600)); then
    echo "$file: $lines lines, more than 600: split it"
    bad=1
  fi
done < <(git ls-files --cached --others --exclude-standard '*.rs')
[ "$bad" = 0 ] && echo "files: every Rust file opens with //! and none is longer than 600 lines"
exit "$bad"
