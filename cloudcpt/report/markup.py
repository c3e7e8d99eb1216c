"""HTML that is safe by construction: only `tag` makes it, and it escapes every string that is not markup already."""

import html

_VOID = {"meta", "line", "rect", "circle", "path"}


class Html(str):
    """A string that is markup already; any other string is text and is escaped when it enters a tag."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: object) -> Html:
    """Write one element.

    Args:
        name: Such as `td`.
        children: Text, which is escaped, or markup, which is not.
        attributes: A trailing underscore is dropped (`class_`) and inner ones become `-` (`text_anchor`);
            None leaves the attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Put text and markup one after another."""
    return Html("".join(child if isinstance(child, Html) else _escaped(child) for child in children))


def _escaped(text: str) -> str:
    # A sample may hold half of a surrogate pair, which UTF-8 cannot write.
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))
