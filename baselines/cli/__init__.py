"""The ``adaps`` command line."""
