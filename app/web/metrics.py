"""What Prometheus scrapes: counters kept in this process, gauges counted in the database at the scrape."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.budgets import Left
from app.views import Backlog

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


@dataclass(frozen=True, slots=True)
class Guarded:
    """What is switched off, and this hour's budgets."""

    off: frozenset[str]
    budgets: Sequence[Left]


class Metrics:
    """One per app: two apps in one process do not count for each other."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._signals = Counter(
            "ordermend_signals", "Deliveries by source and what became of them.", ["source", "result"], registry=self._registry
        )
        self._requests = Histogram(
            "ordermend_request_seconds",
            "Time to answer, by declared path and status.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def count_signal(self, source: str, result: str) -> None:
        self._signals.labels(source, result).inc()

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def exposition(self, backlog: Backlog | None, guarded: Guarded | None = None) -> bytes:
        """The text format. `backlog` and `guarded` are None when the database does not answer: the counters are still worth
        having."""
        momentary = CollectorRegistry()
        momentary.register(_Gauges(backlog))
        if guarded is not None:
            momentary.register(_GuardGauges(guarded))
        return generate_latest(self._registry) + generate_latest(momentary)


@dataclass(frozen=True, slots=True)
class _Line:
    labels: Sequence[str]
    value: float


class _Gauges(Collector):
    def __init__(self, backlog: Backlog | None) -> None:
        self._backlog = backlog

    def collect(self) -> Iterable[GaugeMetricFamily]:
        yield _gauge(
            "ordermend_database_up", "1 when the database answered this scrape.", (), [_Line((), int(self._backlog is not None))]
        )
        if self._backlog is None:
            return
        backlog = self._backlog
        cases = [_Line((count.state, count.verdict or "none"), count.cases) for count in backlog.cases]
        yield _gauge("ordermend_cases", "Cases by state and verdict.", ("state", "verdict"), cases)
        stored = [_Line((count.source, count.state), count.signals) for count in backlog.signals]
        yield _gauge("ordermend_stored_signals", "Stored signals by source and state.", ("source", "state"), stored)
        yield _gauge("ordermend_signals_waiting", "Accepted signals that are not yet read.", (), [_Line((), backlog.waiting)])
        oldest = [_Line((), backlog.oldest_wait_s)]
        yield _gauge("ordermend_oldest_waiting_signal_seconds", "Age of the oldest of them.", (), oldest)
        yield _gauge("ordermend_dead_letters", "Signals that wait to be fixed and replayed.", (), [_Line((), backlog.dead)])
        jobs = [_Line((count.status,), count.jobs) for count in backlog.jobs]
        yield _gauge("ordermend_queue_jobs", "Jobs in the queue by status.", ("status",), jobs)


class _GuardGauges(Collector):
    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded

    def collect(self) -> Iterable[GaugeMetricFamily]:
        off, budgets = self._guarded.off, self._guarded.budgets
        yield _gauge("ordermend_switches_off", "How many kill switches are off.", (), [_Line((), len(off))])
        each = [_Line((name,), 1) for name in sorted(off)]
        yield _gauge("ordermend_switch_off", "1 for each kill switch that is off.", ("switch",), each)
        spent = [_Line((line.key, line.unit), line.spent) for line in budgets]
        yield _gauge("ordermend_budget_spent", "Actions, or minor units, of this hour.", ("budget", "unit"), spent)
        limits = [_Line((line.key, line.unit), line.limit) for line in budgets]
        yield _gauge("ordermend_budget_limit", "What an hour holds.", ("budget", "unit"), limits)


def _gauge(name: str, documentation: str, labels: Sequence[str], lines: Iterable[_Line]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for line in lines:
        family.add_metric(line.labels, line.value)
    return family
