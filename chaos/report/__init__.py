"""The HTML report of a chaos run: see chaos/OVERVIEW.md."""

from chaos.report.page import render

__all__ = ["render"]
