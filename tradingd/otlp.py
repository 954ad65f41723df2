"""The same metrics for an OpenTelemetry collector: OTLP over HTTP in its JSON form (opentelemetry.io/docs/specs/otlp).

Pushed from a task of its own; a collector that is away costs nothing but the count of failures.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from prometheus_client.core import Metric as Family

from tradingd.metric_catalogue import BY_NAME
from tradingd.metrics import Metrics
from tradingd.version import VERSION

_log = logging.getLogger(__name__)
_CUMULATIVE: Final = 2
_TIMEOUT_S: Final = 5.0


def to_otlp(families: Iterable[Family], start_ns: int, now_ns: int) -> dict[str, Any]:
    """One ExportMetricsServiceRequest."""
    scope = {"scope": {"name": "tradingd", "version": VERSION},
             "metrics": [_metric(family, start_ns, now_ns) for family in families if family.samples]}
    resource = {"attributes": [_attribute("service.name", "tradingd"), _attribute("service.version", VERSION)]}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}


def _metric(family: Family, start_ns: int, now_ns: int) -> dict[str, Any]:
    name = family.name if family.name in BY_NAME else f"{family.name}_total"
    known = BY_NAME[name]
    head = {"name": name, "description": known.text}
    times = {"startTimeUnixNano": str(start_ns), "timeUnixNano": str(now_ns)}
    if known.kind == "histogram":
        points = _histogram_points(family, times)
        return {**head, "histogram": {"dataPoints": points, "aggregationTemporality": _CUMULATIVE}}
    numbers = [{**times, "attributes": _attributes(sample.labels), "asDouble": sample.value}
               for sample in family.samples]
    if known.kind == "counter":
        return {**head, "sum": {"dataPoints": numbers, "aggregationTemporality": _CUMULATIVE, "isMonotonic": True}}
    return {**head, "gauge": {"dataPoints": numbers}}


def _histogram_points(family: Family, times: dict[str, str]) -> list[dict[str, Any]]:
    """Prometheus' cumulative buckets as OTLP's separate ones."""
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in family.samples:
        labels = {key: value for key, value in sample.labels.items() if key != "le"}
        point = found.setdefault(tuple(sorted(labels.items())), {
            **times, "attributes": _attributes(labels), "bucketCounts": [], "explicitBounds": [], "seen": 0,
        })
        if sample.name.endswith("_bucket"):
            point["bucketCounts"].append(str(int(sample.value) - point["seen"]))
            point["seen"] = int(sample.value)
            if sample.labels["le"] != "+Inf":
                point["explicitBounds"].append(float(sample.labels["le"]))
        elif sample.name.endswith("_sum"):
            point["sum"] = sample.value
    for point in found.values():
        point["count"] = str(point.pop("seen"))
    return list(found.values())


def _attributes(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [_attribute(key, value) for key, value in sorted(labels.items())]


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


class OtlpPusher:
    """`run` until cancelled: pushes to URL/v1/metrics every `every_s` seconds."""

    def __init__(self, url: str, every_s: int, metrics: Metrics) -> None:
        self._url = f"{url.rstrip('/')}/v1/metrics"
        self._every_s = every_s
        self._metrics = metrics
        self._start_ns = time.time_ns()
        self.failures = 0
        self.pushed = 0

    async def run(self) -> None:
        from tradingd.alerts.alert import DeliveryError
        from tradingd.alerts.http_delivery import HttpDelivery

        http = HttpDelivery("the OpenTelemetry collector", _TIMEOUT_S)
        try:
            while True:
                try:
                    payload = to_otlp(self._metrics.families(), self._start_ns, time.time_ns())
                    answer = await http.post(self._url, json=payload)
                    if not answer.is_ok:
                        raise answer.failure("the OpenTelemetry collector")
                    self.pushed += 1
                    self.failures = 0
                except DeliveryError as error:
                    self.failures += 1
                    if self.failures == 1:
                        _log.warning("metrics were not pushed: %s", error)
                await asyncio.sleep(self._every_s)
        finally:
            await http.close()
