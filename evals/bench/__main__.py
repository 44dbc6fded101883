"""`python -m evals.bench`, or `make bench`: every figure with its yardstick from the same run, into `evals/bench/results.json`."""

import asyncio
from pathlib import Path

from evals.bench import guard, load, prompts, replay, rivals
from evals.bench.figures import Figure, write

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    figures: list[Figure] = []
    for measured in (guard.measure, rivals.measure, load.measure_all, _replayed, _prompts):
        for figure in measured():
            print(_line(figure), flush=True)  # noqa: T201 - this is what is asked for
            figures.append(figure)
    write(figures, RESULTS)


def _replayed() -> list[Figure]:
    return [Figure(**figure) for figure in replay.measure()]


def _prompts() -> list[Figure]:
    """Those that can be measured here."""
    count, cached = prompts.tokeniser(), prompts.prefix_cache_hit()
    tokens = [] if count is None else [prompts.tokens_vs_json(asyncio.run(prompts.questions()), count)]
    return [prompts.replayed(), *tokens, *([] if cached is None else [cached])]


def _line(figure: Figure) -> str:
    return f"{figure.name:<38} {figure.value:>14,.3f} {figure.unit:<24} ratio {figure.ratio:>8.3f}   to {figure.yardstick}"


if __name__ == "__main__":
    main()
