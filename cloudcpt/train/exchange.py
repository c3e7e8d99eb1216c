"""Rows between nodes: every window is made on one of them, and sent to the others as soon as it is there.

The preparers of all nodes (`cloudcpt.train.preparer`) are a group of their own, over gloo, beside that of the training
processes, whose store they meet in. So a cluster tokenises its text once, and each node has all rows on its own disk,
as if it were alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from cloudcpt.train.pack import room_for
from cloudcpt.train.rows import HEADER_FILE, open_header

PIECE_BYTES = 16 << 20
"""Sent at once."""

_TIMEOUT = timedelta(hours=12)
"""A node that waits for a window waits as long as the other one needs to make it."""


class Exchange:
    """What this node gives to the others, and gets from them.

    Args:
        node: This one, from 0.
        nodes: In all.
        piece_bytes: Sent at once.
    """

    def __init__(self, node: int, nodes: int, piece_bytes: int = PIECE_BYTES) -> None:
        self.node, self.nodes = node, nodes
        self._piece = np.empty(piece_bytes, dtype=np.uint8)

    def share(self, folder: Path, maker: int) -> None:
        """Send the rows of a window, or receive them; every node calls this for the same windows in the same order.

        Args:
            folder: Where they are on the node that made them, and will be on this one.
            maker: That node.
        """
        listed = [[(path.name, path.stat().st_size) for path in sorted(folder.iterdir())] if maker == self.node else []]
        dist.broadcast_object_list(listed, src=maker)
        if maker == self.node:
            for name, size in listed[0]:
                self._send(folder / name, size)
            return
        temporary = room_for(folder)
        temporary.mkdir()
        for name, size in listed[0]:
            self._receive(temporary / name, size, maker)
        header = temporary / HEADER_FILE
        header.write_text(replace(open_header(header), origin="received").to_json(), "utf-8")
        temporary.rename(folder)

    def _send(self, path: Path, size: int) -> None:
        with path.open("rb", buffering=0) as file:
            for piece in self._pieces(size):
                read = file.readinto(piece.data)
                assert read == len(piece), f"{read} of {len(piece)} bytes of `{path}`, which does not change"
                dist.broadcast(torch.from_numpy(piece), src=self.node)

    def _receive(self, path: Path, size: int, maker: int) -> None:
        with path.open("wb") as file:
            for piece in self._pieces(size):
                dist.broadcast(torch.from_numpy(piece), src=maker)
                file.write(piece.data)

    def _pieces(self, size: int) -> Iterator[npt.NDArray[np.uint8]]:
        whole = len(self._piece)
        for start in range(0, size, whole):
            yield self._piece[: min(whole, size - start)]


@contextmanager
def joined_preparers(node: int, nodes: int) -> Iterator[Exchange]:
    """Meet the preparers of the other nodes, and leave them at the end.

    Args:
        node: This one, from 0.
        nodes: In all.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=_TIMEOUT)
    meeting = PrefixStore("preparers", store)
    dist.init_process_group("gloo", store=meeting, rank=node, world_size=nodes, timeout=_TIMEOUT)
    try:
        yield Exchange(node, nodes)
    finally:
        dist.destroy_process_group()
