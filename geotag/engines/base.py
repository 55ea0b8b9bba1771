"""What every inference engine offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EngineOptions(NamedTuple):
    """How to run a network. `auto` (or None) chooses what is fastest on this machine.

    With `embeds` an engine gives the embedding of each photo behind its logits.
    """

    engine: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    embeds: bool = False


class Engine(Protocol):
    """A network ready to run.

    `description` names engine, device and number type for people. `predict` takes up to
    `batch_size` photos, from up to `streams` threads at once.
    """

    description: str
    batch_size: int
    streams: int

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB pictures, uint8 (N, S, S, 3) with N up to the batch size, to logits (N, K + 1); where
        embeddings of width D are asked for, to both in one (N, K + 1 + D).

        A photo's logits do not depend on its neighbours or their number.
        """
        ...
