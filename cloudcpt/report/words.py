"""How the page writes numbers: counts, sizes, times, money, learning rates, perplexities."""

import math


def count(number: float) -> str:
    """Write a whole number with separators: `1,048,576`."""
    return f"{number:,.0f}" if math.isfinite(number) else "unknown"


def size(size_bytes: float) -> str:
    """Write bytes in binary units: `512 B`, `1.5 MiB`."""
    if not math.isfinite(size_bytes):
        return "unknown"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def duration(seconds: float) -> str:
    """Write a time span in its two largest units: `8.4 s`, `42 s`, `3 min 05 s`, `4 h 06 min`."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def usd(amount: float) -> str:
    """Write dollars: cents matter below a hundred."""
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"


def percent(share: float) -> str:
    """Write a share of one: `37.5%`."""
    return f"{share:.1%}" if math.isfinite(share) else "unknown"


def compact(number: float) -> str:
    """Write a number for an axis or a table: `0.003`, `1e-5`, `12.5`, `20,000`."""
    if not math.isfinite(number):
        return "not finite"
    if number == 0 or 1e-3 <= abs(number) < 1e6:
        return f"{number:,.6f}".rstrip("0").rstrip(".") if abs(number) < 100 else f"{number:,.0f}"
    mantissa, _, exponent = f"{number:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def perplexity(number: float) -> str:
    """Write a perplexity with as many digits as matter: `8.41`, `353.7`."""
    if not math.isfinite(number):
        return "not finite"
    return f"{number:,.2f}" if number < 100 else f"{number:,.1f}"
