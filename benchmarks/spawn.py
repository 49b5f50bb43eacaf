"""Runs one command and prints what it took: `python -I -S spawn.py CORE OUT ERR COMMAND…`; CORE -1 is any core.

Kept so small because the kernel counts the memory of the process that forks into the child's peak.
"""

import os
import sys
import time

core, out, err, *command = sys.argv[1:]
began = time.monotonic()
child = os.fork()
if child == 0:
    if int(core) >= 0:
        os.sched_setaffinity(0, [int(core)])
    for path, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_RDWR), descriptor)
    os.execvp(command[0], command)
_, status, usage = os.wait4(child, 0)
print(
    time.monotonic() - began,
    usage.ru_utime + usage.ru_stime,
    usage.ru_maxrss,
    os.waitstatus_to_exitcode(status),
)
