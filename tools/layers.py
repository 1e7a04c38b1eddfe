"""The layer rule: kernels < core < {io, gpu, linalg, cluster} < blockwise < arrayctl.

A crate imports nothing that stands above it or beside it; some also keep clear of certain libraries and of certain
modules of a crate below. Checked are the dependencies that `cargo metadata` resolves, those of dependencies too, and the
`use` lines and paths of every source file. Exit 0: nothing violates the rule. `test_layers.py` proves that it bites.

usage: layers.py        (in the workspace; CARGO names another cargo)
"""

import json
import os
import pathlib
import re
import subprocess
import sys

KERNELS, CORE, IO = "blockwise-kernels", "blockwise-core", "blockwise-io"
GPU, LINALG, CLUSTER = "blockwise-gpu", "blockwise-linalg", "blockwise-cluster"
FACADE, CLI = "blockwise", "arrayctl"

# package: the workspace packages it may depend on
MAY_DEPEND_ON = {
    KERNELS: set(),
    CORE: {KERNELS},
    IO: {KERNELS, CORE},
    GPU: {KERNELS, CORE},
    LINALG: {KERNELS, CORE},
    CLUSTER: {KERNELS, CORE},
    FACADE: {KERNELS, CORE, IO, GPU, LINALG, CLUSTER},
    CLI: {KERNELS, CORE, IO, GPU, LINALG, CLUSTER, FACADE},
}

# package: libraries that must not be among its dependencies, nor among theirs. "zarrs" forbids "zarrs_storage" too.
# Dependencies of tests alone are free.
FORMATS = ["zarrs", "hdf5", "netcdf", "object_store"]
FORBIDDEN_LIBRARIES = {
    KERNELS: [
        *FORMATS,
        "cudarc",
        "tokio",
        "rayon",
        "crossbeam",
    ],  # memmap2: anonymous memory; files need std::fs
    CORE: [*FORMATS, "cudarc", "tokio"],
    IO: ["cudarc"],
    LINALG: [*FORMATS, "cudarc"],
    GPU: [*FORMATS, "tokio"],
}

# package: paths that its sources must not name. Tests and benches too, but for kernels' tests, which ask
# Python for what is right.
FORBIDDEN_PATHS = {
    KERNELS: ["std::thread", "std::fs", "std::net", "std::process", "std::io"],
    IO: ["blockwise_core::graph", "blockwise_core::plan", "blockwise_core::exec"],
}


def matches(library, pattern):
    """Whether a package name is the pattern or one of its family ("zarrs" covers "zarrs_codec", "hdf5-metno")."""
    return re.fullmatch(re.escape(pattern) + r"([-_].*)?", library) is not None


def check_declared(packages):
    """Violations among what workspace packages declare: {name: {dependency names, of any kind}}."""
    found = []
    for name in sorted(packages):
        if name not in MAY_DEPEND_ON:
            found.append(f"{name}: a workspace package without a layer: give it one in tools/layers.py")
            continue
        for dependency in sorted(packages[name]):
            if dependency in MAY_DEPEND_ON and dependency not in MAY_DEPEND_ON[name] | {name}:
                found.append(f"{name} depends on {dependency}, which stands above it or beside it")
    return found


def check_resolved(edges):
    """Violations among what is reached through dependencies, tests' left out: {name: {names}}."""
    found = []
    for name, patterns in sorted(FORBIDDEN_LIBRARIES.items()):
        came_from, queue = {name: None}, [name]
        while queue:
            here = queue.pop(0)
            for dependency in sorted(edges.get(here, ())):
                if dependency not in came_from:
                    came_from[dependency] = here
                    queue.append(dependency)
        for library in sorted(came_from):
            if any(matches(library, pattern) for pattern in patterns):
                chain = [library]
                while came_from[chain[-1]]:
                    chain.append(came_from[chain[-1]])
                found.append(f"{name} depends on {library} ({' <- '.join(chain)})")
    return found


def check_source(package, where, text, reexports=()):
    """Violations in one source file. `reexports`: what the crate below also offers under shorter names."""
    forbidden = [*FORBIDDEN_PATHS.get(package, ()), *reexports]
    found = []
    for line, path in paths_of(code_of(text)):
        for bad in forbidden:
            parent = bad.rpartition("::")[0]
            if path == bad or path.startswith(bad + "::"):
                found.append(f"{where}:{line}: {package} must not name {bad}")
            elif path == parent + "::*" and parent.startswith("blockwise"):
                found.append(f"{where}:{line}: {package} must import from {parent} by name, not by `*`")
    return sorted(set(found))


def reexports_of(library, text):
    """Shorter names under which a crate's front page offers the modules that some crates must not name."""
    modules = {
        path.removeprefix(library + "::")
        for paths in FORBIDDEN_PATHS.values()
        for path in paths
        if path.startswith(library + "::")
    }
    found = []
    for tree in re.findall(r"\bpub\s+use\s+([^;]+);", code_of(text)):
        for path, name in expand(tree):
            parts = [part for part in path.split("::") if part not in ("crate", "self")]
            if len(parts) > 1 and parts[0] in modules:
                found.append(f"{library}::{name}")
    return found


def paths_of(code):
    """(line, full path) of every `use` and every path in code, with `use X as Y` of crates seen through."""
    aliases = {
        name: path
        for tree in re.findall(r"\b(?:use|extern\s+crate)\s+([^;]+);", code)
        for path, name in expand(tree)
        if "::" not in path and name != path
    }
    line_of = lambda offset: code.count("\n", 0, offset) + 1
    real = lambda path: "::".join(
        [aliases.get(path.split("::")[0], path.split("::")[0]), *path.split("::")[1:]]
    )
    for match in re.finditer(r"\buse\s+([^;]+);", code):
        for path, _ in expand(match.group(1)):
            yield line_of(match.start()), real(path)
    for match in re.finditer(r"\b[A-Za-z_]\w*(?:\s*::\s*[A-Za-z_]\w*)+", code):
        yield line_of(match.start()), real(re.sub(r"\s", "", match.group()))


def expand(tree):
    """All (path, name it is known by) of a `use` tree: `a::{b, c as d}` gives a::b known as b, a::c known as d."""
    tree = tree.strip().removeprefix("::")
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = (part.strip() for part in re.sub(r"\s+as\s+", " as ", tree).partition(" as "))
        path = re.sub(r"\s", "", path).removesuffix("::self")
        return [(path, alias or path.rpartition("::")[2])] if path else []
    prefix, inside = re.sub(r"\s", "", tree[:brace]), tree[brace + 1 : tree.rindex("}")]
    pieces, depth, start = [], 0, 0
    for at, char in enumerate(inside):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            pieces.append(inside[start:at])
            start = at + 1
    pieces.append(inside[start:])
    result = []
    for piece in pieces:
        piece = piece.strip()
        if piece == "self" or piece.startswith("self "):
            result += expand(prefix.removesuffix("::") + piece.removeprefix("self"))
        elif piece:
            result += expand(prefix + piece)
    return result


TOKEN = re.compile(
    r"""
      (?P<comment> //[^\n]* )
    | (?P<block> /\* )
    | (?P<raw> \b b?c?r (?P<hashes>\#*) " .*? " (?P=hashes) )
    | (?P<string> b?c?" (?: \\. | [^"\\] )* " )
    | (?P<char> b?' (?: \\ [^']+ | [^'\\] ) ' )
    """,
    re.X | re.S,
)


def code_of(text):
    """The text with comments and literals blanked; lines keep their numbers."""
    blank = lambda piece: re.sub(r"[^\n]", " ", piece)
    out, at = [], 0
    while match := TOKEN.search(text, at):
        end = match.end()
        if match.group("block"):
            depth = 1
            for edge in re.finditer(r"/\*|\*/", text[end:]):
                depth += 1 if edge.group() == "/*" else -1
                if depth == 0:
                    end += edge.end()
                    break
            else:
                end = len(text)
        out += [text[at : match.start()], blank(text[match.start() : end])]
        at = end
    return "".join(out) + text[at:]


def main():
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version", "1", "--all-features"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    members = set(metadata["workspace_members"])
    by_id = {package["id"]: package for package in metadata["packages"]}
    declared = {
        by_id[member]["name"]: {dependency["name"] for dependency in by_id[member]["dependencies"]}
        for member in members
    }
    edges = {}
    for node in metadata["resolve"]["nodes"]:
        for dependency in node["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                edges.setdefault(by_id[node["id"]]["name"], set()).add(by_id[dependency["pkg"]]["name"])
    found = check_declared(declared) + check_resolved(edges)

    roots = {by_id[member]["name"]: pathlib.Path(by_id[member]["manifest_path"]).parent for member in members}
    front_page = roots[CORE] / "src" / "lib.rs"
    reexports = reexports_of("blockwise_core", front_page.read_text())
    files = 0
    for package in FORBIDDEN_PATHS:
        if package not in roots:
            continue
        asks_python = package == KERNELS  # its tests start the oracle
        for folder in ("src", "benches", "examples") if asks_python else ("src", "tests", "benches", "examples"):
            for path in sorted((roots[package] / folder).rglob("*.rs")):
                files += 1
                where = path.relative_to(metadata["workspace_root"])
                found += check_source(package, where, path.read_text(), reexports if package == IO else ())
    print("\n".join(found) or f"layers: {len(members)} packages and {files} source files keep the rule")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
