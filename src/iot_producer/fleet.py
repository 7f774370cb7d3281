"""FleetSpec, everything that changes the data, and what is fixed about each device and site.

Promise: all of it is a pure function of the spec, in integers, the same on every machine. It must
not know about time: what changes with it is in signals.py.

Random numbers are counter-based: ``word(key(seed, stream, identity), index)`` is a 64-bit mixing
function of all four, so neighbouring seeds or devices share nothing (docs/adr/0001).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iot_producer import fixedpoint
from iot_producer.errors import ConfigError
from iot_producer.schema import DEVICE_TYPES

MAX_DEVICES: Final = 10_000_000
MAX_CUSTOMERS: Final = 1_000_000
MAX_SITES: Final = 100_000
MAX_SEED: Final = 2**64 - 1

U64 = np.uint64
_MIX_1: Final = U64(0xBF58476D1CE4E5B9)
_MIX_2: Final = U64(0x94D049BB133111EB)
_SEED_SALT: Final = U64(0x8E5C1A0F3B7D2946)
_STREAM_STEP: Final = U64(0xD6E8FEB86659FD93)
_IDENTITY_STEP: Final = U64(0xA0761D6478BD642F)
INDEX_STEP: Final = U64(0xE7037ED1A0B428DB)


def mix(x: Any) -> Any:
    """A bijection of 64-bit words in which each bit of the result depends on every bit of x.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13 of Stafford), for uint64
    scalars and arrays, in plain and in compiled code.
    """
    x = (x ^ (x >> U64(30))) * _MIX_1
    x = (x ^ (x >> U64(27))) * _MIX_2
    return x ^ (x >> U64(31))


def keys(seed: int, stream: int, identities: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One 64-bit key for each identity of a stream."""
    with np.errstate(over="ignore"):
        seed_key = mix(mix(U64(seed) ^ _SEED_SALT) ^ (U64(stream) * _STREAM_STEP))
        mixed: NDArray[np.uint64] = mix(seed_key ^ (identities * _IDENTITY_STEP))
    return mixed


def words(key: NDArray[np.uint64], index: int) -> NDArray[np.uint64]:
    """Word number ``index`` of each key."""
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = mix(key ^ (U64(index) * INDEX_STEP))
    return mixed


# The streams of keys. A number that was given away is never given again.
STREAM_FLEET: Final = 1
STREAM_SITE: Final = 2
STREAM_DEVICE: Final = 3
STREAM_REGION: Final = 4


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """Everything that changes the data.

    Attributes:
        devices: size of the pool, 1 … 10,000,000.
        customers: 1 … 1,000,000, at most ``devices``.
        sites: 1 … 100,000, at most ``devices``.
        seed: 0 … 2**64 − 1.
    """

    devices: int = 100_000
    customers: int = 10_000
    sites: int = 1_000
    seed: int = 1

    def __post_init__(self) -> None:
        for name, value, most in (
            ("DEVICES", self.devices, MAX_DEVICES),
            ("CUSTOMERS", self.customers, MAX_CUSTOMERS),
            ("SITES", self.sites, MAX_SITES),
        ):
            if not 1 <= value <= most:
                raise ConfigError(
                    f"{name} is {value}, which is outside 1 … {most:,}",
                    f"set {name} to a number from 1 to {most}",
                )
        for name, value in (("CUSTOMERS", self.customers), ("SITES", self.sites)):
            if value > self.devices:
                raise ConfigError(
                    f"{name} is {value}, more than the {self.devices} DEVICES",
                    f"each of them has at least one device: lower {name} or raise DEVICES",
                )
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(
                f"SEED is {self.seed}, which is outside 0 … 2^64 − 1",
                "set SEED to a whole number in that range",
            )

    def to_dict(self) -> dict[str, int]:
        """As in the run report."""
        return asdict(self)


# Device types that stand outdoors.
_OUTDOOR_TYPES: Final = tuple(
    DEVICE_TYPES.index(name)
    for name in (
        "air_quality",
        "water_quality",
        "soil_moisture",
        "wind_speed",
        "rain_gauge",
        "uv_sensor",
    )
)

# Columns of Fleet.site (int64[n_sites, SITE_COLUMNS]).
S_LATITUDE: Final = 0  # 10**-6 degrees
S_LONGITUDE: Final = 1  # 10**-6 degrees
S_ALTITUDE: Final = 2  # dm
S_KEY: Final = 3  # the bits of a uint64
S_REGION_KEY: Final = 4  # the bits of a uint64
S_KIND: Final = 5  # office, shop, home, plant
S_LOCAL_MS: Final = 6  # ms to add to UTC for the clock of the people there
S_SOLAR_MS: Final = 7  # ms to add to UTC for the sun
S_MEAN_MILLI: Final = 8  # mean outdoor temperature of the year, 0.001 °C
S_SEASON_MILLI: Final = 9  # its amplitude over the year, 0.001 °C
S_SIN_LATITUDE: Final = 10  # 16 fraction bits
S_COS_LATITUDE: Final = 11
SITE_COLUMNS: Final = 16

N_SITE_KINDS: Final = 4

# Columns of Fleet.device (int32[n_devices, DEVICE_COLUMNS]): one cache line, all that signals need.
D_PLACE: Final = 0  # 2·site + (1 when outdoors)
D_KEY_LOW: Final = 1  # the two halves of a uint64
D_KEY_HIGH: Final = 2
D_TEMPERATURE_BIAS: Final = 3  # 0.001 °C
D_HUMIDITY_BIAS: Final = 4  # 0.01 %
D_PRESSURE_BIAS: Final = 5  # 0.01 hPa
D_CO2_BIAS: Final = 6  # 0.1 ppm
D_NOISE_BIAS: Final = 7  # 0.1 dB
D_LAMPS: Final = 8  # 0.1 lux, its lamps when they are on
D_SIGNAL: Final = 9  # 0.1 dBm, path loss and shadowing
D_BATTERY_PACE: Final = 10  # 2**-52 lives a second; 0 on mains
D_BATTERY_START: Final = 11  # 2**-30 lives
D_BOOTS: Final = 12  # days between boots, on the average; above 5 bits 2**21 // days + 1
D_SENT_PER_HOUR: Final = 13  # packets
D_RECEIVED_PER_HOUR: Final = 14
D_CPU_MEMORY: Final = 15
DEVICE_COLUMNS: Final = 16

# Columns of Fleet.identity (int32[n_devices, IDENTITY_COLUMNS]): what only the record's text needs.
I_TYPE: Final = 0
I_SITE: Final = 1
I_CUSTOMER: Final = 2
I_LATITUDE: Final = 3  # 10**-6 degrees
I_LONGITUDE: Final = 4
I_ALTITUDE: Final = 5  # dm
IDENTITY_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Fleet:
    """The permanent attributes of a spec's devices and sites, as integer tables.

    Attributes:
        spec: what they were made from.
        site: int64[sites, SITE_COLUMNS], by site number; columns are the ``S_…`` constants.
        identity: int32[devices, IDENTITY_COLUMNS], by device number; columns ``I_…``.
        device: int32[devices, DEVICE_COLUMNS], by device number; columns ``D_…``; each row is one
            cache line.
    """

    spec: FleetSpec
    site: NDArray[np.int64]
    identity: NDArray[np.int32]
    device: NDArray[np.int32]


def _below(word: NDArray[np.uint64], shift: int, n: int) -> NDArray[np.int64]:
    """0 … n − 1 from the 16 bits of ``word`` above ``shift``."""
    bits = (word >> U64(shift)) & U64(0xFFFF)
    return (bits.astype(np.int64) * n) >> 16


def _bell(word: NDArray[np.uint64], scale: int) -> NDArray[np.int64]:
    """About normal with standard deviation ``scale``, within ±3.46 of it (four uniforms added)."""
    total = np.zeros(len(word), dtype=np.int64)
    for shift in (0, 16, 32, 48):
        total += ((word >> U64(shift)) & U64(0xFFFF)).astype(np.int64)
    return (total - 131_070) * scale // 37_837


def _interpolated(
    table: NDArray[np.int64], position: NDArray[np.int64], bits: int
) -> NDArray[np.int64]:
    """``table`` at ``position`` (``bits`` fraction bits), linear between its entries."""
    whole = position >> bits
    part = position & ((1 << bits) - 1)
    low = table[whole]
    found: NDArray[np.int64] = low + ((table[whole + 1] - low) * part >> bits)
    return found


def _sine(turn: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sine of ``turn`` (2**-24 turns), 16 fraction bits."""
    found: NDArray[np.int64] = _interpolated(fixedpoint.SINE, turn & 0xFFFFFF, 14)
    return found


def _signed(word: NDArray[np.uint64]) -> NDArray[np.int64]:
    return word.view(np.int64)


def _permutation(seed: int, index: int, n: int) -> NDArray[np.int64]:
    """A permutation of 0 … n − 1: its members sorted by a random word each."""
    key = keys(seed, STREAM_FLEET, np.arange(n, dtype=np.uint64) + U64(index << 32))
    order: NDArray[np.int64] = np.argsort(key, kind="stable")
    return order


def _sites(spec: FleetSpec) -> NDArray[np.int64]:
    n = spec.sites
    key = keys(spec.seed, STREAM_SITE, np.arange(n, dtype=np.uint64))
    table = np.zeros((n, SITE_COLUMNS), dtype=np.int64)
    place = words(key, 1)
    # 25 … 49 and −125 … −67 degrees, 31 bits each; devices stay inside with their 500 m.
    latitude = 25_010_000 + (((place >> U64(33)).astype(np.int64) * 23_980_000) >> 31)
    longitude = -124_990_000 + (((place & U64(0x7FFFFFFF)).astype(np.int64) * 57_980_000) >> 31)
    height = words(key, 2)
    half = _below(height, 0, 65_536)
    high = _below(height, 16, 65_536)
    # Half below 250 m, the rest towards 3000 m with a falling density.
    mountain = 2_500 + (27_000 * ((high * high >> 16) * high >> 16) >> 16)
    altitude = np.where(half < 29_730, 150 + (high * 2_300 >> 16), mountain)
    table[:, S_LATITUDE] = latitude
    table[:, S_LONGITUDE] = longitude
    table[:, S_ALTITUDE] = altitude
    table[:, S_KEY] = _signed(words(key, 3))
    region = (latitude // 4_000_000) * 1_000 + (longitude + 180_000_000) // 6_000_000
    table[:, S_REGION_KEY] = _signed(keys(spec.seed, STREAM_REGION, region.astype(np.uint64)))
    kind = _below(words(key, 4), 0, 100)
    table[:, S_KIND] = np.searchsorted(np.array([35, 55, 80]), kind, side="right")
    table[:, S_LOCAL_MS] = (longitude + 7_500_000) // 15_000_000 * 3_600_000
    table[:, S_SOLAR_MS] = longitude * 24 // 100
    # The year's mean falls by 0.35 °C a degree of latitude and by 6.5 °C/km; seasons grow
    # northwards.
    north = latitude - 25_000_000
    table[:, S_MEAN_MILLI] = 27_500 - north * 350 // 1_000_000 - altitude * 13 // 20
    table[:, S_SEASON_MILLI] = 4_000 + north * 190 // 1_000_000
    turn = latitude * (1 << 24) // 360_000_000
    table[:, S_SIN_LATITUDE] = _sine(turn)
    table[:, S_COS_LATITUDE] = _sine(turn + (1 << 22))
    return table


def _log2(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """log2 of integers 1 … 2**31, 16 fraction bits."""
    exponent = np.zeros(len(value), dtype=np.int64)
    scaled = value.copy()
    for step in (16, 8, 4, 2, 1):
        large = scaled >= (1 << step)
        exponent += np.where(large, step, 0)
        scaled = np.where(large, scaled >> step, scaled)
    mantissa = (value << 32 >> exponent) - (1 << 32)
    return (exponent << 16) + _interpolated(fixedpoint.LOG2, mantissa, 24)


def _zipf_cumulative(n: int) -> NDArray[np.int64]:
    """Cumulative weights of ranks 1 … n, each k**−1.1 with 40 fraction bits."""
    exponent = _log2(np.arange(1, n + 1, dtype=np.int64)) * 11 // 10  # of 1 / weight
    part = (-exponent) & 0xFFFF
    whole = (exponent + part) >> 16
    weight = (_interpolated(fixedpoint.EXP2, part, 8) << 10) >> whole
    return np.cumsum(weight)


def _customers(spec: FleetSpec) -> NDArray[np.int64]:
    """Every customer owns one device; the rest goes to customers by Zipf's law (s = 1.1)."""
    rank = _permutation(spec.seed, 1, spec.devices)
    cumulative = _zipf_cumulative(spec.customers)
    word = keys(spec.seed, STREAM_FLEET, np.arange(spec.devices, dtype=np.uint64) + U64(2 << 32))
    part = (word >> U64(48)).astype(np.int64)
    rest = ((word >> U64(32)) & U64(0xFFFF)).astype(np.int64)
    total = int(cumulative[-1])
    point = (total >> 16) * part + ((total >> 16) * rest >> 16)
    by_size = np.searchsorted(cumulative, point, side="right")
    # Large customers are not the ones with the low numbers.
    drawn = _permutation(spec.seed, 3, spec.customers)[np.minimum(by_size, spec.customers - 1)]
    owner = np.where(np.arange(spec.devices) < spec.customers, np.arange(spec.devices), drawn)
    customers = np.empty(spec.devices, dtype=np.int64)
    customers[rank] = owner
    return customers


def _identities(spec: FleetSpec, site_table: NDArray[np.int64]) -> NDArray[np.int32]:
    n = spec.devices
    key = keys(spec.seed, STREAM_DEVICE, np.arange(n, dtype=np.uint64))
    table = np.zeros((n, IDENTITY_COLUMNS), dtype=np.int32)
    site = np.empty(n, dtype=np.int64)
    site[_permutation(spec.seed, 4, n)] = np.arange(n) % spec.sites
    table[:, I_TYPE] = _below(words(key, 1), 0, len(DEVICE_TYPES))
    table[:, I_SITE] = site
    table[:, I_CUSTOMER] = _customers(spec)
    # Within a square of ±350 m, so within 500 m; 1 m is 8.983 µdeg of latitude.
    offset = words(key, 2)
    north_m = _below(offset, 0, 701) - 350
    east_m = _below(offset, 16, 701) - 350
    north = north_m * 8_983 // 1_000 + _below(offset, 32, 9)
    east = east_m * 8_983 * 65_536 // (1_000 * site_table[site, S_COS_LATITUDE])
    table[:, I_LATITUDE] = site_table[site, S_LATITUDE] + north
    table[:, I_LONGITUDE] = site_table[site, S_LONGITUDE] + east + _below(offset, 48, 9)
    table[:, I_ALTITUDE] = site_table[site, S_ALTITUDE] + _below(words(key, 3), 0, 301) - 150
    return table


def cache_lines(n: int) -> NDArray[np.int32]:
    """Zeros, int32[n, 16]: each row is one cache line."""
    room = np.zeros(n * 16 + 16, dtype=np.int32)
    skip = (-room.ctypes.data // 4) % 16
    return room[skip : skip + n * 16].reshape(n, 16)


def _devices(spec: FleetSpec, identity: NDArray[np.int32]) -> NDArray[np.int32]:
    n = spec.devices
    key = keys(spec.seed, STREAM_DEVICE, np.arange(n, dtype=np.uint64))
    table = cache_lines(n)
    outdoor = np.isin(identity[:, I_TYPE], _OUTDOOR_TYPES)
    table[:, D_PLACE] = 2 * identity[:, I_SITE] + outdoor
    own = words(key, 12)
    table[:, D_KEY_LOW] = (own & U64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)
    table[:, D_KEY_HIGH] = (own >> U64(32)).astype(np.uint32).view(np.int32)
    table[:, D_TEMPERATURE_BIAS] = _bell(words(key, 4), 300)
    table[:, D_NOISE_BIAS] = _bell(words(key, 5), 20)
    # 5 … 80 m from the gateway, 3 dB a doubling indoors through walls; shadowing σ 6 dB.
    path = -390 - _log2(5 + _below(words(key, 6), 0, 76)) * 30 // 65_536
    table[:, D_SIGNAL] = np.clip(path + _bell(words(key, 7), 60), -860, -425)
    battery = words(key, 8)
    life_s = (30 * 86_400) + _below(battery, 0, 65_536) * (370 * 86_400) // 65_536
    mains = _below(battery, 16, 5) == 0
    table[:, D_BATTERY_PACE] = np.where(mains, 0, (1 << 52) // life_s)
    table[:, D_BATTERY_START] = np.where(mains, 0, _below(battery, 32, 65_536) << 14)
    traffic = words(key, 9)
    days = 3 + _below(traffic, 0, 26)
    table[:, D_BOOTS] = ((1 << 21) // days + 1) << 5 | days
    sent = 60 + (_below(traffic, 16, 65_536) ** 2 >> 16) * 1_740 // 65_536
    table[:, D_SENT_PER_HOUR] = sent
    table[:, D_RECEIVED_PER_HOUR] = 6 + sent * (20 + _below(traffic, 32, 70)) // 100
    load = words(key, 10)
    table[:, D_CPU_MEMORY] = (40 + _below(load, 0, 260)) << 16 | (180 + _below(load, 16, 260))
    table[:, D_LAMPS] = 3_200 + _below(load, 32, 1_601)
    table[:, D_CO2_BIAS] = np.where(outdoor, 1, 3) * (_below(load, 48, 101) - 50)
    bias = words(key, 11)
    table[:, D_HUMIDITY_BIAS] = _below(bias, 0, 201) - 100
    table[:, D_PRESSURE_BIAS] = _below(bias, 16, 61) - 30
    return table


@lru_cache(maxsize=4)
def fleet_of(spec: FleetSpec) -> Fleet:
    """The permanent attributes of a spec; computed once per process (0.1 s for 100,000 devices)."""
    site = _sites(spec)
    identity = _identities(spec, site)
    device = _devices(spec, identity)
    for table in (site, identity, device):
        table.flags.writeable = False
    return Fleet(spec, site, identity, device)
