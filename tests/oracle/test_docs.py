"""Every shell block of the README and the book runs as it stands, page by page, on the data that the pages name; Rust blocks
are doc tests of the crate `blockwise` (`src/lib.rs` names the pages). Links lead somewhere.

A block marked `sh,ignore` is not run: it installs something, runs the tests themselves, or needs a cluster or a device."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import tifffile
from driver import ROOT, arrayctl_path

BOOK = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *BOOK]
LINKED = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
# What a block that is not run may begin with.
NOT_RUN = ("make ", "cargo ", "hq ", "BLOCKWISE_ENGINE=slurm ", "arrayctl rechunk era5.zarr ")


def shell_blocks(page):
    return [body for language, body in FENCE.findall(page.read_text()) if language == "sh"]


@pytest.mark.parametrize("page", [page for page in PAGES if shell_blocks(page)], ids=lambda page: page.name)
def test_shell_blocks_run(page, tmp_path, coads):
    shutil.copy(coads, tmp_path / "coads.cdf")
    volume = np.random.default_rng(1).integers(0, 256, (8, 60, 70), dtype="u1")
    tifffile.imwrite(tmp_path / "scan.tif", volume, imagej=True, metadata={"axes": "ZYX"})
    colours = np.moveaxis(volume[:3], 0, -1).copy()
    with tifffile.TiffWriter(tmp_path / "slide.svs") as slide:
        slide.write(colours, photometric="ycbcr", compression="jpeg", tile=(32, 32))
        slide.write(colours[::4, ::4].copy(), photometric="rgb")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = tmp_path / "bin"
    program.mkdir()
    (program / "arrayctl").symlink_to(arrayctl_path())
    for block in shell_blocks(page):
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{program}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert run.returncode == 0, f"{page.name}: {block}\n{run.stdout}{run.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_escapes_its_test(page):
    text = page.read_text()
    for language, body in FENCE.findall(text):
        assert language in ("sh", "rust", "text", "sh,ignore"), f"{page.name}: a block of {language!r}"
        if language == "sh,ignore":
            needs_device = all("--device cuda" in line for line in body.splitlines())
            assert body.startswith(NOT_RUN) or needs_device, f"{page.name}: not run, but why? {body}"
    # Indented code would be neither: rustdoc takes it for Rust, readers for a shell's.
    assert not re.search(r"(?:\A|\n)\n(?: {4,}|\t)\S", FENCE.sub("", text)), f"{page.name}: indented code"


def test_every_page_is_in_the_book_and_in_the_doc_tests():
    names = {page.name for page in BOOK} - {"SUMMARY.md"}
    listed = re.findall(r"\(([^)]+\.md)\)", (ROOT / "docs" / "SUMMARY.md").read_text())
    tested = re.findall(r'"\.\./docs/([^"]+)"', (ROOT / "src" / "lib.rs").read_text())
    assert sorted(listed) == sorted(names)
    assert sorted(tested) == sorted(names)


def anchors(page):
    """Anchors of a page's headings, as GitHub and mdBook make them."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text()), re.M)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in plain}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    # Code is no text: an index behind brackets looks like a link.
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(found), f"{page.name}: {target}"
