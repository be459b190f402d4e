"""A trainer that takes one step on three examples a round, until the network ends or it is told.

Run as `python -m tests.e2e.numpy_trainer HOME [SECONDS [VALUES]]`: of a step, and of the model.
"""

import signal
import sys
import time

import numpy as np

import comind

VALUES = 5_000
EXAMPLES = 3
STEP_S = 0.02


def main(home: str, step_s: float = STEP_S, values: float = VALUES) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.stdout.write("begins\n")
    chance, size = np.random.default_rng(), int(values)
    peer = comind.join(home=home)
    weights = peer.start({"weights": np.zeros(size, np.float32)})
    while True:
        time.sleep(step_s)
        weights["weights"] = weights["weights"] + chance.standard_normal(size, np.float32)
        result = peer.average(weights, weight=EXAMPLES)
        weights = dict(result.arrays)
        sys.stdout.write(f"{result.round} {result.counted} {result.because}\n")
        if result.finished:
            peer.finish()
            return


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
