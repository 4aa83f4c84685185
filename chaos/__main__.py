"""`python -m chaos`: the same as `trizone chaos`, from the sources."""

from __future__ import annotations

from chaos.cli import app
from tools.cli import run

if __name__ == "__main__":
    run(lambda: app(prog_name="trizone chaos"))
