"""Start a whole network on this machine, on real data, and see it learn; --help tells the flags.

Each node is a daemon and a trainer, processes of their own in folders of their own, and has its own part of
scikit-learn's digits. Ends with a summary, a picture and, if asked for, a JSON file of all that was measured.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # the parts are found from the root: scripts.local

try:
    from scripts.local.main import main
except ModuleNotFoundError as why:
    sys.exit(f"local_network.py: {why.name} is missing: run scripts/demo once, which makes .venv, then"
             " .venv/bin/python scripts/local_network.py")  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
