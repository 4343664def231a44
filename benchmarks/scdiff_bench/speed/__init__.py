"""Seconds and memory, in this process and for files larger than memory."""
