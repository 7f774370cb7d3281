"""Whatever the devices and times: an entry is what protobuf and the plain formatter say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from entry_cases import LZ4_DECODERS, RESTORE, plain_entry, read_block
from iot_producer.fleet import FleetSpec, fleet_of
from iot_producer.pulsar.entry import COMPRESSIONS, EntryBuilder

LAST_NS = 2**42 * 10**6
SPECS = [
    FleetSpec(1, 1, 1, seed=1),
    FleetSpec(12, 11, 10, seed=2),
    FleetSpec(997, 100, 10, seed=3),
    FleetSpec(seed=2**64 - 1),
]
BUILDERS = {
    (spec, compression): EntryBuilder(fleet_of(spec), compression)
    for spec in SPECS
    for compression in COMPRESSIONS
}

# Steps from one message to the next: none, ns, a block at full speed, ms, s, days.
STEPS = st.one_of(
    st.just(0),
    st.integers(1, 200),
    st.integers(200, 50_000),
    st.integers(10**6 - 2, 10**6 + 2),
    st.integers(10**9 - 2, 10**9 + 2),
    st.integers(0, 3 * 86_400 * 10**9),
)
STARTS = st.one_of(
    st.integers(0, LAST_NS),
    st.integers(0, 10**12),
    st.integers(1_700_000_000, 1_900_000_000).map(lambda s: s * 10**9 - 5),
    st.integers(0, 40_000).map(lambda day: day * 86_400 * 10**9 - 10**6),
    st.sampled_from(
        [min(2**n * unit, LAST_NS) - 3 for n in range(7, 62, 7) for unit in (1, 10**6)]
    ),
)


@st.composite
def blocks(draw):
    spec = draw(st.sampled_from(SPECS))
    n = draw(st.one_of(st.integers(1, 6), st.integers(1, 130)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    devices = rng.integers(0, spec.devices, n).astype(np.int32)
    steps = draw(st.lists(STEPS, min_size=1, max_size=8))
    ids = draw(STARTS) + np.cumsum(np.resize(np.array(steps, dtype=np.int64), n))
    return spec, devices, np.clip(ids, 0, LAST_NS)


@given(blocks())
@settings(deadline=None)
def test_an_lz4_block_is_by_the_book_and_restores_the_plain_text(block):
    spec, devices, ids = block
    expected = plain_entry(fleet_of(spec), devices, ids)
    builder = BUILDERS[spec, "lz4"]
    payload = builder.build(devices, ids)
    data = payload.data.tobytes()
    assert read_block(data)[0] == expected
    for restore in LZ4_DECODERS.values():
        assert restore(data, payload.uncompressed_bytes) == expected
    builder.release(payload)


@given(blocks(), st.sampled_from(COMPRESSIONS))
@settings(deadline=None)
def test_every_compression_holds_the_same_text(block, compression):
    spec, devices, ids = block
    expected = plain_entry(fleet_of(spec), devices, ids)
    builder = BUILDERS[spec, compression]
    payload = builder.build(devices, ids)
    assert RESTORE[compression](payload.data.tobytes(), len(expected)) == expected
    assert payload.uncompressed_bytes == len(expected)
    builder.release(payload)


@given(blocks(), st.integers(0, 130))
@settings(deadline=None)
def test_what_was_built_before_does_not_matter(block, cut):
    spec, devices, ids = block
    builder = BUILDERS[spec, "lz4"]
    whole = builder.build(devices, ids).data.tobytes()
    at = cut % len(devices)
    builder.build(devices[at:], ids[at:])
    assert builder.build(devices, ids).data.tobytes() == whole
