"""Rendered data: road scenes, and surveys of camera traps."""
