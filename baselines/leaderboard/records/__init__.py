"""The files of a run: written, read, locked."""
