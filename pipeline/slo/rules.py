"""The SLOs as rules for Prometheus, a second opinion on the app's own: `python -m pipeline.slo.rules CONFIG`.

The same windows, factors and limits, over the app's counters of good and bad events. Prometheus holds its windows
itself, so an app that loses its own, or decides wrongly, is noticed; one that is down has an alert of its own.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence

from features.duration import in_words
from pipeline.slo.burn import Pair
from pipeline.slo.config import SloConfig
from pipeline.slo.load import load_slo

GOOD = "headrace_slo_good_events_total"
BAD = "headrace_slo_bad_events_total"
EVALUATED = "headrace_slo_evaluated_timestamp_seconds"
FAILED = "headrace_slo_notify_failures_total"
RUNBOOK = "docs/slo.md#at-3-am"
BURN_ALERT = "HeadraceBudgetBurn"
_BY = "sum by (slo, pipeline)"
_DOWN_S = 120


def rules_of(config: SloConfig) -> str:
    """A rule file, as YAML."""
    rules = config.burn.rules()
    spans = sorted({span for pair in rules.pairs for span in (pair.long_ms, pair.short_ms)})
    lines = ["groups:", "  - name: headrace-slo", f"    interval: {in_words(round(config.app.evaluate_s * 1000))}"]
    lines.append("    rules:")
    for slo in config.slos:
        labels = {"slo": slo.name, "pipeline": slo.pipeline}
        lines += _record("headrace_slo:budget", f"vector(1 - {slo.objective!r})", labels)
    for span in spans:
        window = in_words(span)
        lines += _record(f"headrace_slo:bad:{window}", f"{_BY} (increase({BAD}[{window}]))")
        total = f"{_BY} (increase({GOOD}[{window}])) + headrace_slo:bad:{window}"
        lines += _record(f"headrace_slo:events:{window}", total)
        share = f"headrace_slo:bad:{window} / headrace_slo:events:{window}"
        lines += _record(f"headrace_slo:burn:{window}", f"{share} / headrace_slo:budget")
    for severity in dict.fromkeys(pair.severity for pair in rules.pairs):
        own = [pair for pair in rules.pairs if pair.severity == severity]
        lines += _alert(
            BURN_ALERT,
            _exceeded(own, rules.events_min, rules.bad_min),
            severity,
            "{{ $labels.slo }}: the error budget burns too fast, by Prometheus's own count",
            keep_ms=rules.hold_ms,
        )
    return "\n".join([*lines, *_own_alerts()]) + "\n"


def _exceeded(pairs: Sequence[Pair], events_min: int, bad_min: int) -> str:
    return " or ".join(f"({_pair(pair, events_min, bad_min)})" for pair in pairs)


def _pair(pair: Pair, events_min: int, bad_min: int) -> str:
    long, short = in_words(pair.long_ms), in_words(pair.short_ms)
    burns = f"headrace_slo:burn:{long} > {pair.factor:g} and headrace_slo:burn:{short} > {pair.factor:g}"
    return f"{burns} and headrace_slo:events:{long} >= {events_min} and headrace_slo:bad:{long} >= {bad_min}"


def _record(name: str, expression: str, labels: dict[str, str] | None = None) -> Iterator[str]:
    yield f"      - record: {name}"
    yield f"        expr: {json.dumps(expression)}"
    if labels:
        yield f"        labels: {json.dumps(labels)}"


def _alert(name: str, expression: str, severity: str, summary: str, keep_ms: int = 0) -> Iterator[str]:
    yield f"      - alert: {name}"
    yield f"        expr: {json.dumps(expression)}"
    if keep_ms:
        yield f"        keep_firing_for: {in_words(keep_ms)}"
    yield f"        labels: {json.dumps({'severity': severity, 'evaluator': 'prometheus'})}"
    yield f"        annotations: {json.dumps({'summary': summary, 'runbook': RUNBOOK})}"


def _own_alerts() -> Iterator[str]:
    """What the app cannot say of itself."""
    stale = f"absent({EVALUATED}) or time() - max({EVALUATED}) > {_DOWN_S}"
    yield from _alert("HeadraceSloAppDown", stale, "page", "No SLO app evaluates: nothing else pages but Prometheus")
    failing = f"sum by (receiver) (increase({FAILED}[10m])) > 0"
    yield from _alert("HeadraceAlertsUndelivered", failing, "ticket", "Alerts do not reach {{ $labels.receiver }}")


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "slo"
    sys.stdout.write("# Written by: python -m pipeline.slo.rules > deploy/prometheus/rules/slo.yml\n")
    sys.stdout.write(rules_of(load_slo(name, environ=os.environ)))
