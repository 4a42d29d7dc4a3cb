"""Inputs and outputs as bytes: ownership, limits, expiry, signed URLs."""
