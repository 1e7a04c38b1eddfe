"""Random Zarr stores, sound and spoilt, read by Blockwise and by zarr-python: all values agree, or both refuse, or the reason is one of
a list. BLOCKWISE_STORES says how many; `make test` takes 200 and `make fuzz` as many as FUZZ_SECS allow, from a seed of its own."""

import collections
import os
import time

import differential

STORES = int(os.environ.get("BLOCKWISE_STORES", "200"))
SECS = float(os.environ.get("BLOCKWISE_DIFFERENTIAL_SECS", "0"))


def test_readers_agree(tmp_path, figure):
    first = 0 if not SECS else int(time.time()) * 1000
    seen, seed, end = collections.Counter(), first, time.monotonic() + SECS
    while time.monotonic() < end if SECS else seed < first + STORES:
        seen[differential.compare(seed, tmp_path)] += 1
        seed += 1
    told = ", ".join(f"{count} {verdict}" for verdict, count in seen.most_common())
    assert seen["agree"] > seen.total() / 4 and seen["both refuse"] > 0, told
    figure(f"differential, from seed {first}: {told}", seen.total(), seen.total())
