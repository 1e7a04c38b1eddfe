"""Runs a command and writes what it cost as JSON: seconds, peak resident bytes, exit code.

usage: python -S -E peak_rss.py RESULT.json ADDRESS_SPACE_BYTES COMMAND [ARG...]      0: no limit; exits as the command

A process of its own, and a small one: Linux counts the memory of the process that forked into the peak of its child, so
a test or benchmark that has loaded NumPy cannot measure a child of its own.
"""

import os
import resource
import sys
import time

result, limit_bytes, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if limit_bytes:
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
start = time.monotonic()
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
secs = time.monotonic() - start
code = os.waitstatus_to_exitcode(status)
with open(result, "w") as f:
    f.write(f'{{"secs": {secs:.4f}, "peak_bytes": {usage.ru_maxrss * 1024}, "code": {code}}}\n')
sys.exit(code if code >= 0 else 128 - code)
