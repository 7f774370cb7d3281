"""What only the admin API knows: deduplication, retention, quotas, who is at work, the clock.

Promise: questions only, nothing is changed; a question that the API refuses or cannot answer
becomes a note that says so, never a guess. It must not know the broker's own protocol.

A broker's protocol does not tell a new name whether deduplication is on: it says −1 either way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from iot_producer import figures
from iot_producer.doctor.broker import Topic
from iot_producer.doctor.findings import Finding, Verdict
from iot_producer.errors import ConfigError, DestinationError
from iot_producer.pulsar.admin import AdminRefusedError, PulsarAdmin

_LANE: Final = re.compile(r"iot-producer-\d+(of\d+)?(\.\d+)?")
_NS_PER_S: Final = 1_000_000_000
_MOST_SHOWN: Final = 8
_FULL: Final = 0.8
_SKEW_S: Final = 1.0
_HOLD: Final = "producer_request_hold"
_EVICTS: Final = "consumer_backlog_eviction"


@dataclass(slots=True)
class _Answers:
    """Asks the admin API, and remembers why it did not answer."""

    admin: PulsarAdmin
    refusals: list[AdminRefusedError] = field(default_factory=list)
    failure: DestinationError | None = None

    def get(self, path: str) -> Any:
        """The answer; None where it is refused, and from when on there was none in time."""
        if self.failure is not None:
            return None
        try:
            return self.admin.call("GET", path)
        except AdminRefusedError as error:
            self.refusals.append(error)
        except DestinationError as error:
            self.failure = error
        return None

    @property
    def lacks_rights(self) -> bool:
        """Whether it refused something for want of a right."""
        denied = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return any(error.status in denied for error in self.refusals)


def examine_policies(admin: PulsarAdmin, topic: Topic) -> list[Finding]:
    """Findings about what a topic's namespace is set to.

    Args:
        admin: the admin API.
        topic: as the broker told of it.
    """
    try:
        began_ns = time.time_ns()
        date = admin.server_date()
        ended_ns = time.time_ns()
    except (DestinationError, ConfigError) as error:
        return [
            Finding(
                "admin API",
                Verdict.NOTE,
                f"{error.message}; deduplication, retention, quotas, lanes at work and the clock "
                "were not looked at",
                "set PULSAR_ADMIN_URL to the admin API of the broker or proxy",
                {"url": admin.url},
            )
        ]
    answers = _Answers(admin)
    namespace = topic.namespace
    reached = Finding("admin API", Verdict.OK, f"answers at {admin.url}", facts={"url": admin.url})
    missing = None if topic.is_there else _missing(admin, namespace)
    if missing is not None or not topic.has_namespace:
        # What a namespace that is not there would be set to is of no use to anybody.
        told = [] if missing is None else [missing]
        return [reached, *told, clock_finding(date, began_ns, ended_ns)]
    path = f"/admin/v2/persistent/{namespace}/{quote(topic.parts[0].rpartition('/')[2], safe='')}"
    stats = answers.get(f"{path}/stats") if topic.is_there else None
    findings = [reached]
    if not topic.is_there:
        findings.append(_creation(answers, namespace))
    findings.append(_deduplication(answers, namespace, stats))
    findings.append(_retention(answers, path, namespace, stats))
    findings.append(_backlog(answers, path, namespace, stats))
    if stats is not None:
        findings.append(_lanes(stats))
    findings.append(clock_finding(date, began_ns, ended_ns))
    if answers.failure is not None:
        text = f"it stopped answering: {answers.failure.message}"
        remedy = "see the broker's log, or give it more time: --timeout 30s"
        findings[0] = Finding("admin API", Verdict.NOTE, text, remedy, {"url": admin.url})
    elif answers.lacks_rights:
        text = "some questions were refused: this role may not ask them"
        remedy = "ask as an administrator, or let one look"
        findings[0] = Finding("admin API", Verdict.NOTE, text, remedy, {"url": admin.url})
    return findings


def _missing(admin: PulsarAdmin, namespace: str) -> Finding | None:
    """What has to be created before the topic; None: nothing, or nobody says."""
    tenant = namespace.partition("/")[0]
    create = f"pulsar-admin namespaces create {namespace}"
    try:
        if namespace in admin.call("GET", f"/admin/v2/namespaces/{quote(tenant, safe='')}"):
            return None
    except AdminRefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            return None
        text = f"tenant {tenant} does not exist, and so has no namespaces: a run would fail"
        create = f"pulsar-admin tenants create {tenant}, then {create}"
        return Finding("namespace", Verdict.HARM, text, create, {"tenant_is_there": False})
    except DestinationError:
        return None
    text = f"tenant {tenant} has no namespace {namespace}: a run would fail"
    return Finding("namespace", Verdict.HARM, text, create, {"tenant_is_there": True})


def _creation(answers: _Answers, namespace: str) -> Finding:
    """What becomes of a topic that is not there."""
    policy = answers.get(f"/admin/v2/namespaces/{namespace}/autoTopicCreation")
    runtime = _runtime(answers) if not policy else None
    if policy:
        allowed = policy.get("allowAutoTopicCreation")
        kind, n = policy.get("topicType"), policy.get("defaultNumPartitions")
    elif runtime:
        allowed = runtime.get("allowAutoTopicCreation") == "true"
        kind, n = runtime.get("allowAutoTopicCreationType"), runtime.get("defaultNumPartitions")
    else:
        allowed = None
    remedy = "create it: iot-producer run --create-topic PARTITIONS"
    if allowed is None:
        text = "the topic is not there, and nobody says whether the broker would create it"
        return Finding("topic creation", Verdict.WARNING, text, remedy)
    if not allowed:
        text = "the topic is not there, and the broker creates none by itself: a run would fail"
        return Finding("topic creation", Verdict.HARM, text, remedy, {"allowed": False})
    shape = f"with {n} partitions" if kind == "partitioned" else "without partitions"
    text = f"the topic is not there; the broker creates it, {shape}, when a run begins"
    return Finding("topic creation", Verdict.NOTE, text, f"{remedy} to choose", {"allowed": True})


def _deduplication(answers: _Answers, namespace: str, stats: Mapping[str, Any] | None) -> Finding:
    is_on: bool | None = None
    if stats is not None and stats.get("deduplicationStatus"):
        is_on = stats["deduplicationStatus"] == "Enabled"
    else:
        is_on = answers.get(f"/admin/v2/namespaces/{namespace}/deduplication")
        if is_on is None and (runtime := _runtime(answers)):
            is_on = runtime.get("brokerDeduplicationEnabled") == "true"
    turn_on = f"pulsar-admin namespaces set-deduplication --enable {namespace}"
    facts = {"is_on": is_on}
    if is_on is None:
        text = "nobody says whether deduplication is on"
        remedy = f"pulsar-admin namespaces get-deduplication {namespace}; to turn it on: {turn_on}"
        return Finding("deduplication", Verdict.NOTE, text, remedy, facts)
    if is_on:
        return Finding("deduplication", Verdict.OK, "on: exactly once", facts=facts)
    text = (
        "off: what was on its way when a connection breaks may be stored twice, and a lane that "
        "comes back does not know where it stopped"
    )
    return Finding("deduplication", Verdict.WARNING, text, turn_on, facts)


def _retention(
    answers: _Answers, path: str, namespace: str, stats: Mapping[str, Any] | None
) -> Finding:
    policy = answers.get(f"{path}/retention?applied=true") or answers.get(
        f"/admin/v2/namespaces/{namespace}/retention"
    )
    set_it = f"pulsar-admin namespaces set-retention {namespace} --size 10G --time 1d"
    if policy is None:
        runtime = _runtime(answers)
        if runtime is None:
            text = "nobody says how long the topic keeps its messages"
            remedy = f"pulsar-admin namespaces get-retention {namespace}"
            return Finding("retention", Verdict.NOTE, text, remedy)
        policy = {
            "retentionTimeInMinutes": int(runtime["defaultRetentionTimeInMinutes"]),
            "retentionSizeInMB": int(runtime["defaultRetentionSizeInMB"]),
        }
    minutes, size_mb = int(policy["retentionTimeInMinutes"]), int(policy["retentionSizeInMB"])
    facts = {"minutes": minutes, "size_mb": size_mb}
    if minutes and size_mb:
        span = "for ever" if minutes < 0 else f"for {figures.duration(minutes * 60 * _NS_PER_S)}"
        room = "of any size" if size_mb < 0 else f"up to {figures.size(size_mb << 20)} a partition"
        return Finding("retention", Verdict.OK, f"messages are kept {span}, {room}", facts=facts)
    n_subscriptions = len(stats["subscriptions"]) if stats is not None else 0
    if n_subscriptions:
        text = (
            f"none: what {figures.plural(n_subscriptions, 'subscription')} acknowledged is "
            "deleted, so verify must read before that"
        )
        return Finding("retention", Verdict.NOTE, text, set_it, facts)
    text = "none, and nobody subscribed: messages are deleted at once, and verify would find none"
    return Finding("retention", Verdict.WARNING, text, set_it, facts)


def _backlog(
    answers: _Answers, path: str, namespace: str, stats: Mapping[str, Any] | None
) -> Finding:
    quotas = answers.get(f"{path}/backlogQuotaMap?applied=true") or answers.get(
        f"/admin/v2/namespaces/{namespace}/backlogQuotaMap"
    )
    quota = (quotas or {}).get("destination_storage") or {}
    limit = int(quota.get("limitSize", -1)) if quota else -1
    if limit <= 0 and stats is not None:
        limit = int(stats.get("backlogQuotaLimitSize", -1))
    used = int(stats["backlogSize"]) if stats is not None else 0
    policy = quota.get("policy", "")
    facts = {"limit_bytes": limit, "backlog_bytes": used, "policy": policy}
    if limit <= 0:
        known = quotas is not None or stats is not None
        text = "no limit" if known else "nobody says whether there is a limit"
        verdict = Verdict.OK if known else Verdict.NOTE
        return Finding("backlog quota", verdict, text, facts=facts)
    text = f"{figures.size(used)} of {figures.size(limit)} are used"
    raise_it = f"consume, or pulsar-admin namespaces set-backlog-quota {namespace} --limit 100G …"
    if policy == _EVICTS:
        text += "; beyond that the oldest messages are dropped unread"
        return Finding("backlog quota", Verdict.WARNING, text, raise_it, facts)
    end = "are held back" if policy == _HOLD else "are refused"
    text += f"; beyond that producers {end}"
    if used >= limit:
        return Finding("backlog quota", Verdict.HARM, text, raise_it, facts)
    if used >= _FULL * limit:
        return Finding("backlog quota", Verdict.WARNING, text, raise_it, facts)
    return Finding("backlog quota", Verdict.OK, text, facts=facts)


def _lanes(stats: Mapping[str, Any]) -> Finding:
    names = [str(one.get("producerName", "")) for one in stats.get("publishers", [])]
    lanes = sorted((name for name in names if _LANE.fullmatch(name)), key=_natural)
    others = len(names) - len(lanes)
    facts: dict[str, object] = {"lanes": lanes, "n_others": others}
    if not names:
        return Finding("lanes at work", Verdict.OK, "none", facts=facts)
    shown = ", ".join(lanes[:_MOST_SHOWN]) + (", …" if len(lanes) > _MOST_SHOWN else "")
    text = f"{len(lanes)}: {shown}" if lanes else "none"
    if others:
        text += f"; {figures.plural(others, 'producer')} of other names, whose records are foreign"
        return Finding("lanes at work", Verdict.NOTE, text, "use a topic of its own", facts)
    return Finding("lanes at work", Verdict.OK, text, facts=facts)


def clock_finding(date: str, began_ns: int, ended_ns: int) -> Finding:
    """This machine's clock against the admin API's, which tells whole seconds.

    Args:
        date: the ``Date`` header of an answer.
        began_ns, ended_ns: this clock before the question and after the answer, ns.
    """
    try:
        theirs_s = parsedate_to_datetime(date).timestamp()
    except ValueError:
        text, remedy = "the admin API does not tell its time", "compare the clocks by hand (chrony)"
        return Finding("clock", Verdict.NOTE, text, remedy)
    # Their clock showed something in [theirs, theirs + 1) at a moment in [began, ended].
    least_s = theirs_s - ended_ns / _NS_PER_S
    most_s = theirs_s + 1 - began_ns / _NS_PER_S
    facts = {"offset_least_s": round(least_s, 3), "offset_most_s": round(most_s, 3)}
    off_s = least_s if least_s > 0 else -most_s if most_s < 0 else 0.0
    if off_s <= _SKEW_S:
        text = "the same as the admin API's to within 2 s, which is as fine as that tells"
        return Finding("clock", Verdict.OK, text, facts=facts)
    behind = "behind" if least_s > 0 else "ahead of"
    text = (
        f"this machine's is at least {int(off_s):,} s {behind} the admin API's: event times and "
        "end-to-end latencies are off by that"
    )
    return Finding("clock", Verdict.WARNING, text, "synchronise the clocks (NTP, chrony)", facts)


def _runtime(answers: _Answers) -> Mapping[str, str] | None:
    found = answers.get("/admin/v2/brokers/configuration/runtime")
    return found if isinstance(found, dict) else None


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
