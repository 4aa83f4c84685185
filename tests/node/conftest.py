"""Tests of the node: helpers that several files share lie beside them (importlib mode, no package)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
