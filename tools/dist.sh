#!/usr/bin/env bash
# A release in dist/: one archive with the stripped program, completions, manual pages, licences; and its checksum.
# The same bytes for the same commit, toolchain and C compiler, wherever it is built: paths are left out, times are the commit's, names
# are sorted.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
target=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
home=${CARGO_HOME:-$HOME/.cargo}
export SOURCE_DATE_EPOCH
export CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=0
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=blockwise --remap-path-prefix=$home=cargo"
export CMAKE_TOOLCHAIN_FILE=$PWD/tools/dist.cmake
export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$PWD=blockwise -ffile-prefix-map=$home=cargo"
"$cargo" build --release --locked -p arrayctl
built="$(tools/target_dir.sh)/release/arrayctl"

name="arrayctl-$version-$target"
rm -rf "dist/$name" "dist/$name.tar.gz" "dist/$name.tar.gz.sha256"
mkdir -p "dist/$name"/{bin,man/man1,completions}
install -m 755 "$built" "dist/$name/bin/arrayctl"
"$built" man >"dist/$name/man/man1/arrayctl.1"
commands=$("$built" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
for command in $commands; do
  "$built" man "$command" >"dist/$name/man/man1/arrayctl-$command.1"
done
for shell in bash zsh fish elvish powershell; do
  "$built" completions "$shell" >"dist/$name/completions/arrayctl.$shell"
done
cp README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT "dist/$name/"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' -C dist -cf - "$name" |
  gzip -n -9 >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "dist/$name.tar.gz: $(wc -c <"dist/$name.tar.gz") bytes; $(echo "$commands" | wc -w) commands"
cat "dist/$name.tar.gz.sha256"
