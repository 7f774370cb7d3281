"""What to do about a topic whose namespace is not there, whoever finds out.

Promise: a sentence with the commands of an administrator: nobody else creates a namespace. It must
not know how that was found out.
"""

from __future__ import annotations


def creation_remedy(topic: str) -> str:
    """What a user can do.

    Args:
        topic: its full name; where that is not known, the commands have gaps to fill.
    """
    tenant, namespace, _ = [*topic.partition("://")[2].split("/"), "", ""][:3]
    if not (tenant and namespace):
        tenant, namespace = "TENANT", "NAMESPACE"
    return (
        "check the topic's name (PULSAR_TOPIC, --topic), or create the namespace: pulsar-admin "
        f"namespaces create {tenant}/{namespace} (before that, where there is no such tenant "
        f"either: pulsar-admin tenants create {tenant})"
    )
