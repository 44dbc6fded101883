"""What Prometheus scrapes: counters kept in this process, gauges counted in the database at the scrape."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.views import Backlog

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


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

    def exposition(self, backlog: Backlog | None) -> bytes:
        """The text format. `backlog` is None when the database does not answer: the counters are still worth having."""
        momentary = CollectorRegistry()
        momentary.register(_Gauges(backlog))
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


def _gauge(name: str, documentation: str, labels: Sequence[str], lines: Iterable[_Line]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for line in lines:
        family.add_metric(line.labels, line.value)
    return family
