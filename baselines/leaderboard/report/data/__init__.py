"""From runs to the rows and curves of a board."""
