"""Every shell block of the README and the book runs as it stands, page by page, on the data that the pages name.

A block marked `sh,ignore` is not run: it installs something, or shows a job on data that nobody has."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import tifffile
from driver import ROOT, arrayctl_path

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    """The commands of arrayctl in a page's shell blocks, in order; a pipe or a redirection belongs to its line."""
    text = page.read_text()
    for language, body in re.findall(r"^```(\S*)\n(.*?)^```", text, re.M | re.S):
        if language == "sh":
            yield from (line for line in body.splitlines() if line.startswith("arrayctl "))


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=lambda page: page.name)
def test_shell_blocks_run(page, tmp_path, coads):
    shutil.copy(coads, tmp_path / "coads.cdf")
    volume = np.random.default_rng(1).integers(0, 256, (8, 60, 70), dtype="u1")
    tifffile.imwrite(tmp_path / "scan.tif", volume, imagej=True, metadata={"axes": "ZYX"})
    program = tmp_path / "bin"
    program.mkdir()
    (program / "arrayctl").symlink_to(arrayctl_path())
    for line in blocks(page):
        run = subprocess.run(
            ["bash", "-c", f'PATH="{program}:$PATH"; {line}'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, f"{page.name}: {line}\n{run.stdout}{run.stderr}"


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_book_lists_every_page():
    listed = set(re.findall(r"\(([^)]+\.md)\)", (ROOT / "docs" / "SUMMARY.md").read_text()))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"SUMMARY.md"}
