"""The parameter type of dates on the command line."""

from datetime import date
from typing import Any

import click

from pro_tracker.domain.wall_time import LAST_YEAR


class Day(click.ParamType[date]):
    """A date in ISO 8601 form, such as 2026-12-31."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Returns the date. Fails with a usage error for other text and for dates too far ahead."""
        try:
            day = value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day of the calendar. A day is written like 2026-12-31.", param, ctx)
        if day.year > LAST_YEAR:
            self.fail(f"{value} lies too far ahead.", param, ctx)
        return day


DAY = Day()
