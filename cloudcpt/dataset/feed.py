"""All files of a dataset, one after the other, cut into blocks; and what is known of each once it has been read."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from cloudcpt.dataset.cuts import Cut, CutFile
from cloudcpt.dataset.files import unreadable
from cloudcpt.dataset.places import DataPlace, InputFile, InputStream
from cloudcpt.errors import DatasetError, Diagnostic, Place, error


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEnd:
    """What is known of a file when nothing more is read from it.

    Args:
        lines: Read, good and bad.
        size_bytes: Of the lines that were read.
        blake3: Of the content, 64 hex digits; empty when it was not read to its end.
        crc64nvme: Of the content, in base64 as S3 has it; empty when it was not read to its end.
        version_id: As in `InputStream`.
        findings: Why it was not read, or not to its end, or not for certain.
    """

    lines: int = 0
    size_bytes: int = 0
    blake3: str = ""
    crc64nvme: str = ""
    version_id: str = ""
    findings: tuple[Diagnostic, ...] = ()


class Feed:
    """Reads files in order; a context, so that the one that is open is closed.

    Args:
        place: Where the files are.
        files: In order.
        block_bytes: About how large a block is.

    Attributes:
        ends: Of the files that were read so far.
    """

    def __init__(self, place: DataPlace, files: Sequence[InputFile], block_bytes: int) -> None:
        self._place = place
        self._files = files
        self._block_bytes = block_bytes
        self._open: ExitStack = ExitStack()
        self._stream: InputStream | None = None
        self._cutter: CutFile | None = None
        self.ends: list[FileEnd] = []

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *problem: object) -> None:
        self._open.close()

    def fill(self, buffer: memoryview) -> Cut | None:
        """Put the next block into a buffer of `cuts.BUFFER_LIMIT_BYTES`; None when all files were read."""
        while len(self.ends) < len(self._files):
            shown = self._files[len(self.ends)].shown
            try:
                cutter = self._cutter or self._open_next()
                cut = cutter.fill(buffer)
                if cut:
                    return cut
                self._end(self._changed(shown))
            except OSError as exc:
                self._end((unreadable(shown, exc),))
            except DatasetError as exc:
                self._end(exc.diagnostics)
        return None

    def _open_next(self) -> CutFile:
        number = len(self.ends)
        file = self._files[number]
        self._stream = self._open.enter_context(closing(self._place.open(file)))
        self._cutter = CutFile(self._stream, file=number, shown=file.shown, block_bytes=self._block_bytes)
        return self._cutter

    def _end(self, findings: tuple[Diagnostic, ...]) -> None:
        """Write down what is known of the file that was open, or could not be opened, and close it."""
        cutter, stream = self._cutter, self._stream
        self._cutter = self._stream = None
        if cutter is None or stream is None:
            self.ends.append(FileEnd(findings=findings))
        else:
            end = FileEnd(
                lines=cutter.lines,
                size_bytes=cutter.byte,
                blake3=cutter.blake3,
                crc64nvme=cutter.crc64nvme,
                version_id=stream.version_id,
                findings=findings,
            )
            self.ends.append(end)
        self._open.close()

    def _changed(self, shown: str) -> tuple[Diagnostic, ...]:
        if self._cutter is None or self._cutter.is_unchanged:
            return ()
        hint = "check it again once nothing writes to it"
        return (error("CPT309", f"`{shown}` changed while it was read", place=Place(path=shown), hint=hint),)
