"""Statistics over runs: pure functions of arrays; generators are passed in."""
