"""Proof that `layers.py` catches each kind of violation and lets honest code pass. Run by `make layers`."""

import unittest

from layers import (
    CLI,
    CORE,
    FACADE,
    GPU,
    IO,
    KERNELS,
    check_declared,
    check_resolved,
    check_source,
    code_of,
    expand,
    reexports_of,
)


class Dependencies(unittest.TestCase):
    def test_honest_workspace_passes(self):
        declared = {
            KERNELS: {"half"},
            CORE: {KERNELS, "rayon"},
            IO: {CORE, "zarrs"},
            FACADE: {IO, CORE},
            CLI: {FACADE},
        }
        self.assertEqual(check_declared(declared), [])

    def test_upwards_and_sideways_are_caught(self):
        for package, dependency in [
            (KERNELS, CORE),
            (CORE, IO),
            (IO, GPU),
            (GPU, IO),
            (IO, FACADE),
            (FACADE, CLI),
        ]:
            found = check_declared({package: {dependency}})
            self.assertEqual(len(found), 1, found)
            self.assertIn(f"{package} depends on {dependency}", found[0])

    def test_package_without_layer_is_caught(self):
        self.assertIn("without a layer", check_declared({"blockwise-new": set()})[0])

    def test_forbidden_library_is_caught_through_others(self):
        edges = {CORE: {"innocent"}, "innocent": {"hdf5-metno"}, IO: {"zarrs", "tokio"}}
        found = check_resolved(edges)
        self.assertEqual(len(found), 1, found)
        self.assertIn("hdf5-metno <- innocent <- blockwise-core", found[0])

    def test_family_names_do_not_reach_too_far(self):
        self.assertEqual(check_resolved({CORE: {"tokioish", "rayon"}}), [])
        self.assertEqual(len(check_resolved({CORE: {"zarrs_storage"}})), 1)


class Sources(unittest.TestCase):
    def violations(self, text, package=IO, reexports=()):
        return check_source(package, "x.rs", text, reexports)

    def test_forbidden_paths_are_caught(self):
        for text in [
            "use blockwise_core::plan;",
            "use blockwise_core::plan::Stage;",
            "use blockwise_core::{grid, exec};",
            "use blockwise_core::{grid::{Region}, graph::{self, Node as N}};",
            "pub(crate) use ::blockwise_core::exec as e;",
            "use blockwise_core as core;\nfn f() { core::plan::make() }",
            "extern crate blockwise_core as bc;\nfn f(x: bc::graph::Node) {}",
            "fn f(plan: &blockwise_core::plan::Plan) {}",
            "fn f() { blockwise_core :: exec :: run() }",
            "use blockwise_core::*;",
        ]:
            self.assertEqual(len(self.violations(text)) > 0, True, text)

    def test_line_numbers_survive_comments_and_strings(self):
        text = '/* a\n/* nested */ b */\nconst A: &str = "x\ny";\nuse blockwise_core::plan::P;\n'
        self.assertEqual(self.violations(text), ["x.rs:5: blockwise-io must not name blockwise_core::plan"])

    def test_honest_code_passes(self):
        for text in [
            "use blockwise_core::{Region, ChunkGrid};",
            "// use blockwise_core::plan;\n/// See [`blockwise_core::plan`].\nfn f<'a>(x: &'a str) -> char { '\"' }",
            'let s = "use blockwise_core::plan;"; let r = r#"blockwise_core::exec::x"#;',
            "use crate::plan::Layout;",
            "use blockwise_core::planet::Earth;",
        ]:
            self.assertEqual(self.violations(text), [], text)

    def test_reexports_count_as_what_they_are(self):
        page = "pub mod plan;\nmod exec;\npub use plan::{Plan, stage::Stage as Step};\npub use grid::Region;"
        reexports = reexports_of("blockwise_core", page)
        self.assertEqual(reexports, ["blockwise_core::Plan", "blockwise_core::Step"])
        self.assertEqual(len(self.violations("use blockwise_core::{Plan, Region};", reexports=reexports)), 1)

    def test_kernels_have_no_threads_and_no_io(self):
        self.assertEqual(len(self.violations("use std::{mem, thread};", KERNELS)), 1)
        self.assertEqual(len(self.violations("fn f() { std::fs::read(p) }", KERNELS)), 1)
        self.assertEqual(self.violations("use std::sync::Mutex;", KERNELS), [])
        self.assertEqual(self.violations("use std::thread;", CORE), [])


class Reading(unittest.TestCase):
    def test_use_trees(self):
        self.assertEqual(
            expand("a::{self, b::{c, d as e}, f::*}"),
            [("a", "a"), ("a::b::c", "c"), ("a::b::d", "e"), ("a::f::*", "*")],
        )

    def test_literals_and_lifetimes(self):
        code = code_of("let a = '\\''; fn g<'x>(s: &'x str) { t(b'\"', \"// no\") } // gone")
        self.assertIn("fn g<'x>(s: &'x str)", code)
        self.assertNotIn("gone", code)
        self.assertNotIn("no", code)


if __name__ == "__main__":
    unittest.main(verbosity=1)
