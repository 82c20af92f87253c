"""Markdown tables for docs/benchmarks.md."""

from __future__ import annotations


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose figures are aligned to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
