"""Serves a rival's contenders over standard input and output; imported in its environment, where our packages are not.

Each line read is a contender's name. The answer is a line of JSON: the steps of one chunk of its work, and the seconds
of processor time that they took, of all threads. The first chunk includes everything before it, such as compilation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

Make = Callable[[], Callable[[], int]]
"""Makes a contender: a function that does some work and returns the number of steps."""


def on_one_core() -> None:
    """Keeps this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def serve(contenders: Mapping[str, Make], *packages: str) -> None:
    """Answers until the input ends; the first line names the versions of the packages."""
    out, sys.stdout = sys.stdout, sys.stderr  # what the rival prints is no answer
    print(json.dumps({package: version(package) for package in packages}), file=out, flush=True)
    made: dict[str, Callable[[], int]] = {}
    for line in sys.stdin:
        name, start = line.strip(), time.process_time()
        if name not in made:
            made[name] = contenders[name]()
        steps = made[name]()
        print(json.dumps({"steps": steps, "seconds": time.process_time() - start}), file=out, flush=True)
