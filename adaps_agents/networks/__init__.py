"""Networks with an explicit agent axis."""
