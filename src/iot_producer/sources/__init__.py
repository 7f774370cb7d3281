"""Where records are read back from: each gives chunks of what arrived."""
