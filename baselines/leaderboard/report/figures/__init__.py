"""Figures as SVG text and moving pictures."""
