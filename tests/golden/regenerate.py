"""Write the golden files again: python tests/golden/regenerate.py

Refuses while DATA_VERSION is the one of the files: whoever changes a record raises it, says so in
CHANGELOG.md under "Data", and then runs this.
"""

from __future__ import annotations

import json
import os
import sys

from iot_producer.kernel_cache import prepare, user_cache_dir

prepare(user_cache_dir(os.environ), os.environ)

from golden_records import (  # noqa: E402 (numba reads its cache directory when it is imported)
    DIGESTS,
    N_DIGESTED,
    N_DIGESTED_SLOWLY,
    N_SHOWN,
    SEEDS,
    digest_of,
    shown_file,
    shown_plan,
    text_of,
)

from iot_producer.blocks import DATA_VERSION  # noqa: E402


def main() -> int:
    if DIGESTS.exists():
        kept = json.loads(DIGESTS.read_text())["data_version"]
        if kept == DATA_VERSION:
            print(
                f"the golden files are of DATA_VERSION {kept} already: raise it in blocks.py first"
            )
            return 1
    digests: dict[str, object] = {"data_version": DATA_VERSION}
    for seed in SEEDS:
        shown_file(seed).write_bytes(text_of(shown_plan(seed), N_SHOWN))
        digests[str(seed)] = {str(n): digest_of(seed, n) for n in (N_DIGESTED_SLOWLY, N_DIGESTED)}
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
