"""The text of an HTML page: what a reader reads, a line for each block, without scripts, menus and forms.

    <h1>Title</h1><p>One<br>two</p><ul><li>a<li>b</ul>   ->   Title / (blank) / One / two / (blank) / a / b

Which part of a page is the article is not guessed: that is for tools made for it, before this one.
"""

import codecs
import re
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.readers.rows import damaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from selectolax.lexbor import LexborNode

_DROPPED: Final = re.compile(
    "head|script|style|noscript|template|nav|footer|aside|form|button|select|textarea|input|svg|math|canvas|iframe|"
    "object|embed|audio|video|map|dialog|menu"
)
"""Elements that hold no text of the page, or text of its menus."""

_BLOCKS: Final = re.compile(
    "address|article|details|dd|div|dt|fieldset|figcaption|header|hgroup|li|main|section|summary|tr"
)
"""Elements that begin a new line, and end it."""

_PARAGRAPHS: Final = re.compile("blockquote|dl|figure|h[1-6]|hr|ol|p|pre|table|ul")
"""Elements with a blank line before and after."""

_CELLS: Final = frozenset(("td", "th"))
_SPACE: Final = re.compile(r"[ \t\n\r\f]+")
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{2,40})", re.IGNORECASE)
_DECLARATION: Final = re.compile(rb"^<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_.-]{2,40})[\"']")
_HEAD_BYTES: Final = 1024
"""Source: HTML standard, 13.2.3.2: the declaration stands within the first 1024 bytes."""


def html_text(content: bytes, shown: str, encoding: str | None) -> str:
    """Give the text of a page.

    Args:
        content: Of the file.
        shown: The file as the user named it.
        encoding: What the user says that it is; what the page says itself, or UTF-8, when None.

    Raises:
        DatasetError: a byte is not text.
        SetupError: selectolax is not installed.
    """
    require("selectolax")
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(_decoded(content, shown, encoding)).root
    return _read(root) if root is not None else ""


def _decoded(content: bytes, shown: str, encoding: str | None) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            encoding = name
    declared = _DECLARATION.search(content) or _CHARSET.search(content[:_HEAD_BYTES])
    if encoding is None and declared:
        encoding = _known(declared[1].decode("ascii"))
    encoding = encoding or "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        byte = content[exc.start : exc.start + 1].hex()
        message = f"`{shown}` is not text in {encoding}: byte `{byte}` at offset {exc.start:,}, {exc.reason}"
        raise damaged(shown, message, line=line, hint="name its encoding, such as `--encoding cp1252`") from exc


def _known(charset: str) -> str | None:
    """Read a declared character set as browsers do: Latin 1 means that of Windows, and GB 2312 its successor."""
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        return None
    # A page that says UTF-16 in ASCII letters is not in UTF-16.
    return {
        "iso8859-1": "cp1252",
        "ascii": "cp1252",
        "gb2312": "gb18030",
        "gbk": "gb18030",
        "utf-16": "utf-8",
    }.get(name, name)


class _Page:
    """The lines of a page as they come into being."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._line = ""

    def text(self, text: str) -> None:
        """Go on with the line; any white space is one space, and none at its beginning."""
        text = _SPACE.sub(" ", text)
        is_after_space = not self._line or self._line[-1] in " \t"
        self._line += text.removeprefix(" ") if is_after_space else text

    def preformatted(self, text: str) -> None:
        """Go on with text whose white space and line breaks count."""
        first, *others = text.split("\n")
        self._line += first
        for line in others:
            self._done.append(self._line.rstrip(" \t"))
            self._line = line

    def cell(self) -> None:
        """Begin another cell of a row."""
        if self._line:
            self._line = self._line.rstrip(" ") + "\t"

    def new_line(self) -> None:
        """Begin a line, if this one has something in it."""
        if line := self._line.rstrip(" \t"):
            self._done.append(line)
        self._line = ""

    def line_break(self) -> None:
        """Begin a line; two in a row leave a blank one."""
        if self._line.rstrip(" \t"):
            self.new_line()
        else:
            self.blank_line()

    def blank_line(self) -> None:
        """Leave one line blank, however many wish for it."""
        self.new_line()
        if self._done and self._done[-1]:
            self._done.append("")

    def __str__(self) -> str:
        self.new_line()
        return "\n".join(self._done).strip("\n")


def _read(root: "LexborNode") -> str:
    """Walk the tree; with a stack instead of recursion, as pages nest thousands of elements by mistake."""
    page = _Page()
    stack: list[tuple[LexborNode | None, Callable[[], None] | None, bool]] = [(root, None, False)]
    while stack:
        node, at_end, is_preformatted = stack.pop()
        if at_end is not None:
            at_end()
        if node is None:
            continue
        tag = node.tag or ""
        if tag == "-text":
            (page.preformatted if is_preformatted else page.text)(node.text_content or "")
        elif tag == "br":
            page.line_break()
        elif tag[:1] not in ("-", "!") and not _DROPPED.fullmatch(tag) and not _is_hidden(node):
            separate = (
                page.blank_line if _PARAGRAPHS.fullmatch(tag) else page.new_line if _BLOCKS.fullmatch(tag) else None
            )
            if separate:
                separate()
                stack.append((None, separate, False))
            if tag in _CELLS:
                page.cell()
            children = list(node.iter(include_text=True))
            stack += [(child, None, is_preformatted or tag == "pre") for child in reversed(children)]
    return str(page)


def _is_hidden(node: "LexborNode") -> bool:
    attributes = node.attributes
    return "hidden" in attributes or attributes.get("aria-hidden") == "true"
