"""``python -m iot_producer``."""

from iot_producer.cli import main

main()
