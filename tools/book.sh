#!/usr/bin/env bash
# Builds the book of docs/ into target/book and checks every link of it. mdBook at the version below is taken from $MDBOOK, the
# path, or built into $CACHE. Links out of the book go to the repository that Cargo.toml names.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.5.4
root=${CACHE:-$PWD/.cache}/mdbook-$version
is_it() { [ "$("$1" --version 2>/dev/null)" = "mdbook v$version" ]; }
mdbook=${MDBOOK:-mdbook}
if ! is_it "$mdbook"; then
  mdbook=$root/bin/mdbook
  is_it "$mdbook" || CARGO_TARGET_DIR=$root/target "${CARGO:-cargo}" install mdbook --version $version --locked --no-default-features \
    --features search --root "$root"
  rm -rf "$root/target"
fi
repository=$(sed -n 's/^repository = "\(.*\)"/\1/p' Cargo.toml)
target=$(tools/target_dir.sh)
pages=$target/book-pages
rm -rf "$pages" "$target/book"
mkdir -p "$target"
cp -R docs "$pages"
sed -i.bak "s|](\.\./|]($repository/blob/main/|g" "$pages"/*.md
rm -f "$pages"/*.bak
"$mdbook" build "$pages" --dest-dir "$target/book" 2>&1 | tee "$target/book.log"
if grep -E 'WARN|ERROR' "$target/book.log"; then
  echo "book: warnings are errors" >&2
  exit 1
fi
"$(tools/python.sh)" tools/book_links.py "$target/book"
