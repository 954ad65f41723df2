"""`python -m benchmarks [--only NAME]`: a table on stderr, figures in ./bench.json.

Exit code 0 when all that was asked for was measured or skipped with a reason, 1 when a measurement failed.
"""

import argparse
import json
import sys
import traceback
from pathlib import Path

from benchmarks.registry import NAMES, measure
from benchmarks.result import BenchSkipped, Result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and size.")
    parser.add_argument("--only", choices=NAMES, action="append", help="only this one (may be given again)")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures go (bench.json)")
    asked = parser.parse_args()
    results: list[Result] = []
    failed = False
    for name in asked.only or NAMES:
        try:
            measured = measure(name)
        except BenchSkipped as reason:
            print(f"{name:<22} skipped: {reason}", file=sys.stderr)
            continue
        except Exception:  # noqa: BLE001 - one broken measurement must not lose the others
            traceback.print_exc()
            print(f"{name:<22} FAILED", file=sys.stderr)
            failed = True
            continue
        for result in measured:
            print(_row(result), file=sys.stderr, flush=True)
        results.extend(measured)
    asked.out.write_text(json.dumps([_as_json(result) for result in results], indent=2) + "\n")
    print(f"{len(results)} figures in {asked.out}", file=sys.stderr)
    return 1 if failed else 0


def _row(result: Result) -> str:
    what = ", ".join(f"{key}={value}" for key, value in result.params.items())
    return f"{result.name:<22} {what:<46} {result.value:>16,.2f} {result.unit}"


def _as_json(result: Result) -> dict[str, object]:
    return {"name": result.name, "params": result.params, "value": result.value, "unit": result.unit}


if __name__ == "__main__":
    sys.exit(main())
