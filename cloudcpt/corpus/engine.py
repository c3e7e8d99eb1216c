"""The port of an engine: where the files of a corpus are worked on, on one machine or on many.

    each       item -> result                                  one task per item, results in the items' order
    exchange   item -> a part for every partition              one task per item,
               the parts of a partition -> result              then one per partition

Check, dedup and tokens on many machines are made of these two (the `engine_*` modules), and of the functions that
do the work on one machine. What is moved where, what is tried again and what is spilled to a disk is the engine's
business: there is none of our own. `OneProcess` says in a few lines what an engine does; `ray_engine` is the one for
many machines, and must give the same.

Work is a function of a module, or a `functools.partial` of one, and it, items and results can be pickled.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Part = TypeVar("Part")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs tasks."""

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Do some work on every item.

        Args:
            work: Called once for every item; again for one whose process has died.
            items: In order.

        Yields:
            The results, in the order of the items, each as soon as it and all before it are there.

        Raises:
            CloudcptError: the first one, in the order of the items, that the work raised.
            SetupError: a process died again and again.
        """
        ...

    def exchange(
        self,
        split: Callable[[Item], Sequence[Part]],
        gather: Callable[[Sequence[Part]], Result],
        items: Sequence[Item],
        *,
        partitions: int,
    ) -> Iterator[Result]:
        """Divide every item into parts, and bring together those that belong together.

        Args:
            split: Makes the parts of an item, one for each partition.
            gather: Called once for every partition, with its parts in the order of the items.
            items: In order.
            partitions: At least 1.

        Yields:
            What was gathered, in the order of the partitions.

        Raises:
            CloudcptError: as `each`.
        """
        ...


class OneProcess:
    """An engine without any machinery: everything happens here, one thing after the other."""

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Do some work on every item; see `Engine.each`."""
        return map(work, items)

    def exchange(
        self,
        split: Callable[[Item], Sequence[Part]],
        gather: Callable[[Sequence[Part]], Result],
        items: Sequence[Item],
        *,
        partitions: int,
    ) -> Iterator[Result]:
        """Divide and bring together; see `Engine.exchange`."""
        parts = [split(item) for item in items]
        for partition in range(partitions):
            yield gather([row[partition] for row in parts])
