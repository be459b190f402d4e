"""A trainer whose every contribution holds the same values, so that a test knows what to look for.

Run as `python -m tests.e2e.pattern_trainer HOME FILE TENSOR`: the file holds float32 values.
"""

import signal
import sys
from pathlib import Path

import numpy as np

import comind

EXAMPLES = 1


def main(home: str, file: str, tensor: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pattern = {tensor: np.frombuffer(Path(file).read_bytes(), np.float32)}
    peer = comind.join(home=home)
    peer.start(pattern)
    finished = False
    while not finished:
        result = peer.average(pattern, weight=EXAMPLES)
        finished = result.finished
        sys.stdout.write(f"{result.round} {result.because}\n")
    peer.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
