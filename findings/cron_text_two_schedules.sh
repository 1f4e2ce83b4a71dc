#!/usr/bin/env bash
# croniter 7.0.0 and cronsim 2.8: one crontab text is two schedules. The first is what Airflow reads schedules with, the second is
# written for services that watch cron jobs, after the cron of Debian. A schedule that is copied from one system to another moves.
# Seen in Europe/Berlin, 2026:
#   30 2 * * *     the night in October with two half past twos: croniter twice, cronsim once
#   0 */2 * * *    the night in March without a two: croniter has a run at three and one at four, cronsim one at four alone
#   0 0 */2 * 1    a star with a step in one of the two fields of days: croniter takes odd days OR Mondays, cronsim odd Mondays
# They agree on 30 2 * * * in March (03:00), and on 0 0 31 * 1, where both fields are plain (the 31st OR Mondays).
# What follows: Mondays on odd days ran twice in January in one system and 18 times in the other, and a nightly retraining
# starts twice in autumn. Write an hour outside of the clock change, and one field of days.
# Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check croniter==7.0.0 cronsim==2.8 tzdata==2026.6
"$home/venv/bin/python" - <<'PYTHON'
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

BERLIN = ZoneInfo("Europe/Berlin")
CASES = [  # text, from, until, runs by croniter, runs by cronsim
    ("30 2 * * *", (2026, 10, 24, 12), (2026, 10, 25, 12), 2, 1),
    ("0 */2 * * *", (2026, 3, 29, 1), (2026, 3, 29, 5), 2, 1),
    ("0 0 */2 * 1", (2026, 1, 1, 12), (2026, 2, 1, 12), 18, 2),
    ("30 2 * * *", (2026, 3, 28, 12), (2026, 3, 29, 12), 1, 1),
    ("0 0 31 * 1", (2026, 1, 1, 12), (2026, 2, 1, 12), 5, 5),
]


def runs(following, end):
    """The runs of a schedule until a time, compared in UTC."""
    found = []
    while (at := following()).astimezone(UTC) < end.astimezone(UTC):
        found.append(at)
    return found


alike = True
for text, begin, end, *expected in CASES:
    begin, end = (datetime(*each, tzinfo=BERLIN) for each in (begin, end))
    by_croniter, by_cronsim = croniter(text, begin), CronSim(text, begin)
    both = runs(lambda: by_croniter.get_next(datetime), end), runs(lambda: next(by_cronsim), end)
    said = [", ".join(each.strftime("%d.%m. %H:%M%z") for each in some[:5]) for some in both]
    print(f"{text:12} croniter {len(both[0]):2}: {said[0]}\n{'':12} cronsim  {len(both[1]):2}: {said[1]}")
    alike = alike and [len(some) for some in both] == expected
sys.exit(0 if alike else 1)
PYTHON
