"""The commands that are more than a few lines of wiring; cli.py puts them together."""
