"""Train a small network on a part of scikit-learn's digits, together with whoever holds the other parts.

    python examples/digits.py --part 1/3

It needs the extra `demo`. The node is the one of COMIND_HOME; if none runs, one is started for this training.
"""

import argparse

import torch
from sklearn.datasets import load_digits

import comind


def main() -> None:
    flags = _flags()
    torch.manual_seed(flags.part)
    pixels, labels = load_digits(return_X_y=True)
    x = (torch.tensor(pixels, dtype=torch.float32) - 5) / 6  # constants that need nobody's data
    y = torch.tensor(labels)
    mine = slice(flags.part - 1, None, flags.parts + 1)  # the last part is nobody's: the test rows
    test_x, test_y = x[flags.parts :: flags.parts + 1], y[flags.parts :: flags.parts + 1]
    data = torch.utils.data.TensorDataset(x[mine], y[mine])
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)

    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    criterion = torch.nn.CrossEntropyLoss()
    peer = comind.join(invite=flags.invite, seed=flags.seed, name=flags.name)
    optimizer = comind.FederatedAveraging(
        torch.optim.SGD(model.parameters(), lr=0.1), model, peer, interval_steps=len(loader)
    )
    for _ in range(flags.epochs):
        for images, digits in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), digits)
            loss.backward()
            optimizer.step(examples=len(images))  # the epoch's last one: a round
        last = optimizer.last_round
        assert last is not None  # the interval has ended
        print(
            f"round {last.round}, {last.because}: accuracy {accuracy(model, test_x, test_y):.1%}", flush=True
        )
        if last.finished:
            break
    last = optimizer.finish()
    print(f"after round {last.round}: accuracy {accuracy(model, test_x, test_y):.1%}", flush=True)


def accuracy(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    model.eval()
    with torch.no_grad():
        right = (model(x).argmax(1) == y).float().mean().item()
    model.train()
    return float(right)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--part", default="1/3", help="which part of how many is held here (default 1/3)")
    parser.add_argument("--epochs", type=int, default=1_000, help="at most so many epochs, each with a round")
    parser.add_argument("--seed", help="the address of any member: tcp://host:port")
    parser.add_argument("--invite", help="the file that holds the invite, when joining for the first time")
    parser.add_argument("--name", help="what this node is called (default: the host's name)")
    flags = parser.parse_args()
    flags.part, flags.parts = (int(number) for number in flags.part.split("/"))
    return flags


if __name__ == "__main__":
    main()
