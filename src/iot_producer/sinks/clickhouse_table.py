"""The table that records go to: made when it is missing, compared when it is there.

Promise: after `prepare`, an insert of the record's 25 columns fits; a table that differs is refused
with the difference, and is never changed. It must not know how rows are inserted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from iot_producer.errors import RefusedError
from iot_producer.schema import FIELDS, clickhouse_ddl
from iot_producer.sinks.clickhouse_client import ClickHouseConfig, failure

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DEDUPLICATION_WINDOW: Final = 1_000
"""So many of the last inserts are known by their token in a table that is made here."""


def prepare(client: Client, config: ClickHouseConfig) -> bool:
    """Make the database and the table if they are missing.

    Returns:
        whether an insert that is repeated with its token is stored once.

    Raises:
        RefusedError: other columns, or no right to make the table.
        UnreachableError: no answer.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        columns = _columns(client, config)
        if not columns:
            client.command(f"CREATE DATABASE IF NOT EXISTS {config.database}")
            client.command(
                clickhouse_ddl(
                    config.database,
                    config.table,
                    deduplication_window=DEDUPLICATION_WINDOW,
                    ttl_days=config.ttl_days,
                )
            )
            columns = _columns(client, config)
        engine = client.query(
            "SELECT engine, engine_full FROM system.tables"
            " WHERE database = {database:String} AND name = {table:String}",
            parameters=_names(config),
        ).result_rows[0]
    except ClickHouseError as error:
        raise failure(error, config) from error
    found = _differences(columns)
    if found:
        raise RefusedError(
            f"{config.where}: the table {config.database}.{config.table} has other columns: "
            + "; ".join(found),
            "write to another table, or rename this one; iot-producer schema --as clickhouse shows "
            "what is needed",
        )
    name, definition = str(engine[0]), str(engine[1])
    window = re.search(r"non_replicated_deduplication_window = ([0-9]+)", definition)
    replicated = name.startswith(("Replicated", "Shared"))
    return replicated or (window is not None and int(window[1]) > 0)


def _names(config: ClickHouseConfig) -> dict[str, str]:
    return {"database": config.database, "table": config.table}


def _columns(client: Client, config: ClickHouseConfig) -> dict[str, tuple[str, str]]:
    """Type and kind of default of each column; empty when there is no such table."""
    rows = client.query(
        "SELECT name, type, default_kind FROM system.columns"
        " WHERE database = {database:String} AND table = {table:String} ORDER BY position",
        parameters=_names(config),
    ).result_rows
    return {str(name): (str(kind), str(default)) for name, kind, default in rows}


def _differences(columns: dict[str, tuple[str, str]]) -> list[str]:
    """What keeps a record from fitting; columns with a default of their own do not."""
    found = []
    for field in FIELDS:
        kind = columns.get(field.name)
        if kind is None:
            found.append(f"{field.name} is missing")
        elif kind[1] in ("MATERIALIZED", "ALIAS"):
            found.append(f"{field.name} is {kind[1]}, so it cannot be inserted")
        elif _plain(kind[0]) != _plain(field.clickhouse):
            found.append(f"{field.name} is {kind[0]} instead of {field.clickhouse}")
    known = {field.name for field in FIELDS}
    found += [
        f"{name} is not a field of the record and has no default"
        for name, (_, default) in columns.items()
        if name not in known and not default
    ]
    return found


def _plain(kind: str) -> str:
    """A type without LowCardinality, which changes how a column is kept and not what it holds."""
    match = re.fullmatch(r"LowCardinality\((.*)\)", kind)
    return match[1] if match else kind
