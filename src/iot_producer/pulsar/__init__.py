"""Apache Pulsar: what the sink and the reader of topics share."""
