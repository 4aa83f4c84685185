"""Makes time_zones.csv from the machine's copy of the IANA time zone database, which is in the public domain.

Run by hand when the data set is to be renewed; the repository ships the file that load_time_zones.py reads. Law: every
row is what the database says, found by asking it, and the same database gives the same file.

    python examples/make_time_zones.py [--zoneinfo /usr/share/zoneinfo] > examples/time_zones.csv
"""

from __future__ import annotations

import argparse
import csv
import sys
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

BEGIN = datetime(2015, 1, 1, tzinfo=UTC)
END = datetime(2031, 1, 1, tzinfo=UTC)
# No zone changes its clocks twice within so short a time and comes back to what it had.
STEP = timedelta(days=1)
COLUMNS = ("zone", "from", "utc_offset_s", "abbreviation", "daylight_saving", "countries")


def zones_with_countries(table: Path) -> Iterator[tuple[str, str]]:
    """(zone, countries separated by spaces) of each line of zone1970.tab, by name."""
    found = []
    for line in table.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            countries, _coordinates, zone = line.split("\t")[:3]
            found.append((zone, countries.replace(",", " ")))
    return iter(sorted(found))


def rules_at(zone: zoneinfo.ZoneInfo, moment: datetime) -> tuple[int, str, bool]:
    """Offset in seconds, abbreviation and whether daylight saving time holds in `zone` at `moment`."""
    local = moment.astimezone(zone)
    offset, saving = local.utcoffset(), local.dst()
    assert offset is not None, "a zone of the database always has an offset"
    return int(offset.total_seconds()), local.tzname() or "", bool(saving)


def periods(zone: zoneinfo.ZoneInfo) -> Iterator[tuple[datetime, tuple[int, str, bool]]]:
    """The rules at BEGIN, then each change until END with the second from which it holds."""
    low, rules = BEGIN, rules_at(zone, BEGIN)
    yield low, rules
    while low < END:
        high = low + STEP
        changed = rules_at(zone, high)
        if changed != rules:
            yield _first_second(zone, low, high, rules), changed
            rules = changed
        low = high


def _first_second(zone: zoneinfo.ZoneInfo, low: datetime, high: datetime, before: tuple[int, str, bool]) -> datetime:
    """The first second after `low`, up to `high`, at which the rules are no longer `before`."""
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if rules_at(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def main() -> None:
    """Write the file to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--zoneinfo", type=Path, default=Path("/usr/share/zoneinfo"), help="the compiled database")
    folder: Path = parser.parse_args().zoneinfo
    # Only this copy: another one on the search path may be of another version.
    zoneinfo.reset_tzpath([folder.resolve()])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, countries in zones_with_countries(folder / "zone1970.tab"):
        for moment, (offset_s, abbreviation, saving) in periods(zoneinfo.ZoneInfo(name)):
            begin = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            writer.writerow((name, begin, offset_s, abbreviation, "yes" if saving else "no", countries))


if __name__ == "__main__":
    main()
