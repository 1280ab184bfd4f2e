"""How every command reads a day."""

from datetime import date
from typing import Any

import click

from pro_tracker.domain.wall_time import LAST_YEAR


class Day(click.ParamType[date]):
    """A date as 2026-12-31."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day, or a usage error that shows how one is written."""
        try:
            day = value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day of the calendar. A day is written like 2026-12-31.", param, ctx)
        if day.year > LAST_YEAR:
            self.fail(f"{value} lies too far ahead.", param, ctx)
        return day


DAY = Day()
