"""Webhooks that are sent: users' addresses are told what happened to their jobs, signed, again after trouble."""
