"""The machines that lend compute."""
