"""What a run tells a monitoring system: metrics, whether it is alive, whether it is ready."""
