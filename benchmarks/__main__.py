"""`make bench`: runs every benchmark, or the named ones."""

import argparse
import subprocess
import sys
from collections.abc import Callable

from benchmarks import claiming, dispatch, exports, importing, pages, scoring, sending, submit

BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "submit": lambda _options: submit.main(),
    "pages": lambda _options: pages.main(),
    "importing": lambda options: importing.main(options.people),
    "exports": lambda options: exports.main(options.subjects),
    "scoring": lambda options: scoring.main(options.responses),
    "claiming": lambda options: claiming.main(options.rows),
    "dispatch": lambda options: dispatch.main(options.dispatched),
    "sending": lambda options: sending.main(options.messages, options.kills),
}
EXAMPLES = """examples:
  python -m benchmarks
  python -m benchmarks submit pages
  python -m benchmarks scoring --responses 1000000
  python -m benchmarks claiming --rows 5000000
  python -m benchmarks sending --messages 10000 --kills 50
  make bench ARGS="exports"
"""


def main() -> None:
    """Runs the benchmarks one after the other, several of them each in its own process."""
    options = _options()
    if len(options.names) == 1:
        BENCHMARKS[options.names[0]](options)
        return
    sizes = ["--messages", str(options.messages), "--kills", str(options.kills)]
    sizes += ["--responses", str(options.responses), "--rows", str(options.rows)]
    sizes += ["--dispatched", str(options.dispatched), "--subjects", str(options.subjects)]
    sizes += ["--people", str(options.people)]
    for name in options.names or BENCHMARKS:  # in processes of their own, so that none is affected by the one before
        subprocess.run([sys.executable, "-m", "benchmarks", name, *sizes], check=True)
        print(flush=True)


def _options() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("benchmarks", description=__doc__, epilog=EXAMPLES, formatter_class=formatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; by default all")
    parser.add_argument("--messages", type=int, default=1_000, help="to send (default: %(default)s; full size: 10000)")
    parser.add_argument("--kills", type=int, default=5, help="of workers while they send (default: %(default)s)")
    parser.add_argument(
        "--responses", type=int, default=50_000, help="to re-score (default: %(default)s; full: 1000000)"
    )
    parser.add_argument("--rows", type=int, default=500_000, help="in the outbox (default: %(default)s; full: 5000000)")
    parser.add_argument("--subjects", type=int, default=1_000, help="to export (default: %(default)s)")
    parser.add_argument("--dispatched", type=int, default=5_000, help="messages to dispatch (default: %(default)s)")
    parser.add_argument("--people", type=int, default=500, help="to import (default: %(default)s; full: 20000)")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    return options


if __name__ == "__main__":
    main()
