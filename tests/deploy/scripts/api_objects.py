"""What the API stand-in keeps: objects, a strategic merge, and pods that follow from a deployment
and its fate."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

# kind, plural, group and version, namespaced; what the scripts and kubectl ask for.
KINDS = (
    ("Namespace", "namespaces", "v1", False),
    ("Node", "nodes", "v1", False),
    ("Secret", "secrets", "v1", True),
    ("Service", "services", "v1", True),
    ("ServiceAccount", "serviceaccounts", "v1", True),
    ("Pod", "pods", "v1", True),
    ("PersistentVolumeClaim", "persistentvolumeclaims", "v1", True),
    ("Deployment", "deployments", "apps/v1", True),
    ("ReplicaSet", "replicasets", "apps/v1", True),
    ("StatefulSet", "statefulsets", "apps/v1", True),
    ("DaemonSet", "daemonsets", "apps/v1", True),
    ("Job", "jobs", "batch/v1", True),
    ("CronJob", "cronjobs", "batch/v1", True),
    ("PodDisruptionBudget", "poddisruptionbudgets", "policy/v1", True),
)
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
}


def merged(old: Any, patch: Any, key: str = "") -> Any:
    """A strategic merge patch, as far as kubectl's patches of our objects need it."""
    if isinstance(old, dict) and isinstance(patch, dict):
        result = dict(old)
        for name, value in patch.items():
            if name.startswith("$"):
                continue  # Directives; the order is taken below.
            if value is None:
                result.pop(name, None)
            else:
                result[name] = merged(result.get(name), value, name)
        for name, by in _MERGE_KEYS.items():
            order = [item[by] for item in patch.get(f"$setElementOrder/{name}", [])]
            if order:
                result[name] = sorted(result[name], key=lambda item, o=order: o.index(item[by]))
        return result
    if isinstance(old, list) and isinstance(patch, list) and key in _MERGE_KEYS:
        by = _MERGE_KEYS[key]
        items = {item[by]: item for item in old}
        for item in patch:
            if item.get("$patch") == "delete":
                items.pop(item[by], None)
            else:
                items[item[by]] = merged(items.get(item[by], {}), item)
        return list(items.values())
    if isinstance(patch, dict):
        return {k: v for k, v in patch.items() if v is not None and not k.startswith("$")}
    return patch


@dataclass
class Fate:
    """What becomes of the deployment's pods.

    Attributes:
        state: ready, starting, pending, image_pull, crash, not_ready, bad_config, refused, or
            flapping: one pod is ready, then none, and so on.
        after_n_looks: looks at the pods until they are in that state.
        message: what the scheduler, the kubelet or the quota says.
        exit_code: the last one of a pod that crashes.
        log: what a pod's log holds.
        n_looks_to_end: looks at the deployment until it is gone after its deletion.
    """

    state: str = "ready"
    after_n_looks: int = 2
    message: str = ""
    exit_code: int = 1
    log: str = "1,000 msg/s confirmed\n"
    n_looks_to_end: int = 2


@dataclass
class Objects:
    """The objects of one cluster."""

    fate: Fate = field(default_factory=Fate)
    kept: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    n_looks: int = 0
    _version: int = 0

    def put(self, plural: str, new: Object) -> Object:
        """Keep an object, with what a server adds to it."""
        meta = new.setdefault("metadata", {})
        key = (plural, meta.get("namespace", ""), meta["name"])
        old = self.kept.get(key)
        if old == new:
            return old
        self._version += 1
        meta["resourceVersion"] = str(self._version)
        meta.setdefault("uid", f"uid-{plural}-{meta['name']}")
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        if old is None or old.get("spec") != new.get("spec"):
            meta["generation"] = (old["metadata"]["generation"] if old else 0) + 1
            self.n_looks = 0
        if plural == "deployments":
            template = new["spec"]["template"]
            revision = 1
            if old:
                revision = int(old["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
                revision += old["spec"]["template"] != template
            meta.setdefault("annotations", {})["deployment.kubernetes.io/revision"] = str(revision)
        self.kept[key] = new
        return new

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        return next(
            (o for o in self.listed(plural, namespace) if o["metadata"]["name"] == name), None
        )

    def listed(self, plural: str, namespace: str) -> list[Object]:
        """Copies of all objects of a kind; an empty namespace is all of them."""
        found = [
            copy.deepcopy(o)
            for (kind, where, _), o in list(self.kept.items())
            if kind == plural and (not namespace or where == namespace)
        ]
        if plural == "deployments":
            for deployment in found:
                deployment["status"] = self._status(deployment)
        if plural in ("pods", "replicasets"):
            for deployment in self.listed("deployments", namespace):
                found += getattr(self, f"_{plural}_of")(deployment)
        return found

    def delete(self, plural: str, namespace: str, name: str) -> Object:
        """Delete an object; a deployment stays for some looks, as one whose pods still drain."""
        key = (plural, namespace, name)
        if plural == "deployments" and self.fate.n_looks_to_end:
            self.kept[key]["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
            return self.kept[key]
        if plural == "namespaces":
            for other in [k for k in self.kept if k[1] == name]:
                del self.kept[other]
        return self.kept.pop(key)

    def look(self) -> None:
        """Time passes, by looks: pods start, and deleted deployments end."""
        self.n_looks += 1
        for key, kept in list(self.kept.items()):
            if key[0] == "deployments" and "deletionTimestamp" in kept["metadata"]:
                self.fate.n_looks_to_end -= 1
                if self.fate.n_looks_to_end <= 0:
                    del self.kept[key]

    def text(self) -> str:
        """All that is kept, with the versions: equal texts mean that nothing was changed."""
        kept = sorted(self.kept.items())
        return json.dumps([[list(key), value] for key, value in kept], sort_keys=True, indent=1)

    def _state(self) -> str:
        return self.fate.state if self.n_looks >= self.fate.after_n_looks else "starting"

    def _status(self, deployment: Object) -> Object:
        wanted = deployment["spec"].get("replicas", 1)
        if self._state() == "refused":
            failure = {"type": "ReplicaFailure", "status": "True", "message": self.fate.message}
            return {
                "observedGeneration": deployment["metadata"]["generation"],
                "conditions": [failure],
            }
        status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
        if wanted:
            status |= {"replicas": wanted, "updatedReplicas": wanted}
            if self._state() == "ready":
                status |= {"readyReplicas": wanted, "availableReplicas": wanted}
            if self._state() == "flapping":
                status["availableReplicas"] = self.n_looks // 2 % 2
        return status

    def _hash(self, deployment: Object) -> str:
        template = json.dumps(deployment["spec"]["template"], sort_keys=True)
        return hashlib.sha256(template.encode()).hexdigest()[:10]

    def _labels(self, deployment: Object) -> Object:
        labels: Object = dict(deployment["spec"]["template"]["metadata"]["labels"])
        return labels | {"pod-template-hash": self._hash(deployment)}

    def _replicasets_of(self, deployment: Object) -> list[Object]:
        revision = deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        meta = {
            "name": f"{deployment['metadata']['name']}-{self._hash(deployment)}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": self._labels(deployment),
            "annotations": {"deployment.kubernetes.io/revision": revision},
        }
        return [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta}]

    def _pods_of(self, deployment: Object) -> list[Object]:
        if self._state() == "refused":
            return []
        name = f"{deployment['metadata']['name']}-{self._hash(deployment)}"
        return [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{name}-{i}",
                    "namespace": deployment["metadata"]["namespace"],
                    "labels": self._labels(deployment),
                },
                "spec": deployment["spec"]["template"]["spec"],
                "status": self._pod_status(),
            }
            for i in range(deployment["spec"].get("replicas", 1))
        ]

    def _pod_status(self) -> Object:
        state = self._state()
        container: Object = {"name": "iot-producer", "restartCount": 0, "state": {"running": {}}}
        phase, ready, scheduled = "Running", "False", {"type": "PodScheduled", "status": "True"}
        waiting = {
            "starting": "ContainerCreating",
            "image_pull": "ImagePullBackOff",
            "crash": "CrashLoopBackOff",
            "bad_config": "CreateContainerConfigError",
        }.get(state)
        if waiting:
            container["state"] = {"waiting": {"reason": waiting, "message": self.fate.message}}
            phase = "Running" if state == "crash" else "Pending"
        if state == "crash":
            ended = {"exitCode": self.fate.exit_code, "reason": "Error"}
            if self.fate.exit_code == 137:
                ended["reason"] = "OOMKilled"
            container |= {"restartCount": 4, "lastState": {"terminated": ended}}
        if state == "ready":
            ready = "True"
        statuses = [container]
        if state == "pending":
            phase, statuses = "Pending", []
            scheduled |= {"status": "False", "message": self.fate.message}
        return {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready}, scheduled],
            "containerStatuses": statuses,
        }
