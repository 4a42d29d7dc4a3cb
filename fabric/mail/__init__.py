"""Mails to users: queued in the transaction of what happened, sent by a loop."""
