"""What users of comind import.

Importing it is light: torch, ZeroMQ and the command line's libraries are loaded when a name that needs
them is first used, so that the daemon and `comind --help`, which import this package too, start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comind.node.trainer.join import join
    from comind.node.trainer.optimizer import FederatedAveraging
    from comind.node.trainer.peer import AverageResult, Peer
    from comind.p2p.core.errors import ConfigError

__version__ = "0.1.0"

__all__ = ["AverageResult", "ConfigError", "FederatedAveraging", "Peer", "__version__", "join"]

_MODULE_OF = {
    "AverageResult": "comind.node.trainer.peer",
    "ConfigError": "comind.p2p.core.errors",
    "FederatedAveraging": "comind.node.trainer.optimizer",
    "Peer": "comind.node.trainer.peer",
    "join": "comind.node.trainer.join",
}

if not TYPE_CHECKING:  # else a misspelt name would pass the type checker

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
