"""The synchronous client. Every file beside this one is made of its namesake in `_async`; edit that."""
