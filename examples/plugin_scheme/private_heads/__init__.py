"""An example of a sharing scheme in a package of its own."""
