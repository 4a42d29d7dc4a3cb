"""Where strangers' models run: a child process that can reach nothing, and the words that are spoken with it."""
