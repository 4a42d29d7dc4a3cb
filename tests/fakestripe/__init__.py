"""A Stripe of our own for tests: an ASGI server with the semantics that money depends on. See README.md."""
