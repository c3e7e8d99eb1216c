"""The datasets of a recipe, each read once, in the version that is meant, and held against each other.

held-out sets --check--> what they hold --> watched for --.
training data --check------------------------------------'--> reports, findings, overlap
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cloudcpt.cli.check import check
from cloudcpt.cli.input_places import InputPlaces, PinnedPlace
from cloudcpt.dataset.overlap import HeldOut, SeeDocument, meeting
from cloudcpt.dataset.places import STDIN, Selection
from cloudcpt.dataset.standard_input import only_once
from cloudcpt.dataset.versions import Pin, content_fault, read_pin
from cloudcpt.errors import DatasetError, Diagnostic, ServiceRefused, SetupError, error

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.plan.make import DataInput
    from cloudcpt.recipe.load import LoadedRecipe

NOT_THERE = {"CPT300", "CPT301"}
"""Codes of a path with nothing behind it, unlike data that is there and wrong."""


_OF_VERSION = {"CPT318", "CPT319"}
"""Codes of a version that is none, or not there."""


class RecipeData:
    """What was read of the datasets of a recipe.

    Args:
        loaded: The recipe.
        places: Where the data is.
        first: Findings of each code to keep per dataset.

    Attributes:
        reports: Of the datasets that could be read, by channel.
        findings: Of each dataset, by channel.
    """

    def __init__(self, loaded: "LoadedRecipe", places: InputPlaces, *, first: int) -> None:
        self._loaded = loaded
        self._places = places
        self._first = first
        self._held_out: dict[str, tuple[DataInput, HeldOut]] = {}
        self._overlaps: list[Diagnostic] = []
        self.reports: dict[str, DatasetReport] = {}
        self.findings: dict[str, tuple[Diagnostic, ...]] = {}

    def read(self, sources: "Sequence[DataInput]") -> None:
        """Read datasets, held-out sets first.

        Raises:
            TransientError: reading from S3 began and could not go on.
        """
        for source in sorted(sources, key=_is_trained):
            if _is_trained(source):
                self._read(source, meeting([watch for _, watch in self._held_out.values()]))
                self._note_overlaps(source)
            else:
                watch = HeldOut()
                self._held_out[source.channel] = source, watch
                self._read(source, watch.expect)

    def findings_across(self) -> tuple[Diagnostic, ...]:
        """Give what is to be said of several datasets together, and of each beyond its documents.

        Raises:
            DatasetError: a file that was read cannot be read any more.
        """
        from cloudcpt.dataset.arrow import arrow_findings
        from cloudcpt.plan.data_rules import size_findings

        sound = [report for report in self.reports.values() if report.ok] if self._loaded.recipe.is_nova else []
        for_arrow = (found for report in sound for found in arrow_findings(self._places, report))
        return (*self._overlaps, *size_findings(self._loaded, self.reports), *for_arrow)

    def _read(self, source: "DataInput", see: SeeDocument | None) -> None:
        try:
            if source.path == STDIN:
                raise DatasetError(only_once("a recipe's data is read more than once, and a pipe gives its bytes once"))
            pin = read_pin(source.version, source.path) if source.version else None
            place = PinnedPlace(self._places, pin) if pin else self._places
            report = check(source.path, place, first=self._first, see=see)
        except (DatasetError, SetupError, ServiceRefused) as exc:
            self.findings[source.channel] = tuple(self._in_recipe(found, source) for found in exc.diagnostics)
            return
        self.reports[source.channel] = report
        faults = self._version_faults(source, pin, report) if pin else ()
        self.findings[source.channel] = (*report.diagnostics, *faults)

    def _version_faults(self, source: "DataInput", pin: Pin, report: "DatasetReport") -> Iterator[Diagnostic]:
        if fault := content_fault(pin, source.path, report.files):
            yield self._at_version(fault, source)
        if not pin.blake3 and _contents(self._newest(source.path)) != {(file.name, file.etag) for file in report.files}:
            hint = "copy this version to a place of its own and name that; or pin what is there now"
            message = f"`{source.path}` has a newer version than `{source.version}`, and a job gets the newest only"
            yield self._at_version(error("CPT383", message, hint=hint), source)

    def _newest(self, path: str) -> Selection | None:
        try:
            return self._places.select(path)
        except DatasetError:
            return None  # deleted by now

    def _in_recipe(self, found: Diagnostic, source: "DataInput") -> Diagnostic:
        """Let a finding about a whole dataset point at the line of the recipe that asks for it."""
        if found.code in _OF_VERSION:
            return self._at_version(found, source)
        named_here = self._loaded.place(*source.named_by)
        if named_here is None or (found.place is not None and found.place.line is not None):
            return found
        return replace(found, place=named_here)

    def _at_version(self, found: Diagnostic, source: "DataInput") -> Diagnostic:
        return replace(found, place=self._loaded.place(*source.version_named_by))

    def _note_overlaps(self, trained: "DataInput") -> None:
        from cloudcpt.plan.data_rules import overlap_finding

        for held_out, watch in self._held_out.values():
            overlap = watch.overlap()
            is_told = held_out.path == trained.path  # the recipe itself says so, whatever the data is
            if overlap and not is_told and {held_out.channel, trained.channel} <= self.reports.keys():
                self._overlaps.append(overlap_finding(self._loaded, held_out, trained, overlap, self.reports))


def _is_trained(source: "DataInput") -> bool:
    return source.role in ("train", "replay")


def _contents(selection: Selection | None) -> set[tuple[str, str]]:
    return {(file.name, file.etag) for file in selection.files} if selection else set()
