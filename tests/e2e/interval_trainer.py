"""A trainer as a person writes it: an ordinary loop whose every 50th step is an interval's end.

Run as `python -m tests.e2e.interval_trainer HOME SECONDS`: so long takes a step.
"""

import signal
import sys
import time

import torch

import comind

INTERVAL_STEPS = 50
EXAMPLES = 4
"""Of one step."""


def main(home: str, step_s: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    torch.set_num_threads(1)
    model = torch.nn.Linear(8, 1)
    inner = torch.optim.SGD(model.parameters(), lr=0.01)
    peer = comind.join(home=home)
    optimizer = comind.FederatedAveraging(inner, model, peer, interval_steps=INTERVAL_STEPS)
    told = None
    while not (optimizer.last_round and optimizer.last_round.finished):
        time.sleep(float(step_s))
        optimizer.zero_grad()
        model(torch.randn(EXAMPLES, 8)).square().mean().backward()
        optimizer.step(examples=EXAMPLES)
        if optimizer.last_round is not told:
            told = optimizer.last_round
            sys.stdout.write(f"{told}\n")
    optimizer.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
