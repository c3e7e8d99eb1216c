"""How numbers are written, on the page and in the terminal: counts, sizes, times, money, rates, perplexities."""

import math


def count(number: float) -> str:
    """Write a whole number with separators: `1,048,576`."""
    return f"{number:,.0f}" if math.isfinite(number) else "unknown"


def size(size_bytes: float) -> str:
    """Write bytes in binary units: `512 B`, `1.5 MiB`."""
    if not math.isfinite(size_bytes):
        return "unknown"
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size_bytes /= 1024
        if size_bytes < 1023.95 or unit == "TiB":
            break
    return f"{size_bytes:.1f} {unit}"


def duration(seconds: float) -> str:
    """Write a time span in its two largest units: `0.3 s`, `42 s`, `3 min 05 s`, `4 h 06 min`, `2 d 03 h`."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for large, small, limit, names in ((60, 1, 3600, ("min", "s")), (3600, 60, 86400, ("h", "min"))):
        if whole < limit:
            return f"{whole // large} {names[0]} {whole % large // small:02d} {names[1]}"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def usd(amount: float) -> str:
    """Write dollars: cents matter below a hundred."""
    return f"${amount:,.2f}" if abs(amount) < 100 else f"${amount:,.0f}"


def flops(per_second: float) -> str:
    """Write floating-point operations per second: `17.4 GFLOP/s`, `4,899 TFLOP/s`."""
    if per_second < 1e12:
        return f"{per_second / 1e9:,.1f} GFLOP/s"
    return f"{per_second / 1e12:,.1f} TFLOP/s" if per_second < 1e15 else f"{per_second / 1e12:,.0f} TFLOP/s"


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
