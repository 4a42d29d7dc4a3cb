"""Bytes by key: one protocol, two stores."""
