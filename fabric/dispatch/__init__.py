"""Which provider runs which subtask, and what happens when it fails."""
