"""Who speaks for the processes that train one model together under torch.distributed? Rank 0.

Knows nothing of what is said. Collectives wait for as long as the process group's own timeout lets them: give
`init_process_group` a timeout that is longer than a round may take.
"""

from collections.abc import Sequence

import torch
from torch import distributed


class Ranks:
    """The processes of this job; one alone where torch.distributed is not initialised."""

    def __init__(self, device: torch.device) -> None:
        """`device`: where the process group's tensors must be, that is, where the model is."""
        together = distributed.is_available() and distributed.is_initialized()
        self.several = together and distributed.get_world_size() > 1
        self.speaks = not self.several or distributed.get_rank() == 0
        self._device = device

    def total(self, number: int) -> int:
        """Return the sum of what each rank gives."""
        if not self.several:
            return number
        summed = torch.tensor([number], dtype=torch.int64, device=self._device)
        distributed.all_reduce(summed)
        return int(summed.item())

    def tell(self, words: bytes) -> bytes:
        """Return what rank 0 gives."""
        length = torch.tensor([len(words)], dtype=torch.int64, device=self._device)
        distributed.broadcast(length, src=0)
        content = torch.zeros(int(length.item()), dtype=torch.uint8, device=self._device)
        if self.speaks:
            content.copy_(torch.frombuffer(bytearray(words), dtype=torch.uint8))
        distributed.broadcast(content, src=0)
        return content.cpu().numpy().tobytes()

    @torch.no_grad()
    def share(self, tensors: Sequence[torch.Tensor]) -> None:
        """Make each tensor what it is on rank 0."""
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)
