"""Transports: how messages come in and frames go out."""
