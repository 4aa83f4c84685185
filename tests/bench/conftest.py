"""The benchmark's modules are a program's parts, found beside run.py: its tests look there as well."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
