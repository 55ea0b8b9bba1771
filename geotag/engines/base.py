"""What every inference engine offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EngineOptions(NamedTuple):
    """How to run a network. `auto` chooses what is fastest on this machine."""

    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 32


class Engine(Protocol):
    """A network ready to run.

    `description` names engine, device and number type for people.
    """

    description: str

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB pictures, uint8 (N, S, S, 3) with N up to the batch size, to logits (N, K + 1)."""
        ...
