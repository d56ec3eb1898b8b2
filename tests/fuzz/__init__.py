"""Every parser of files that others wrote, fed with what nobody wrote; ``docs/reliability.md`` has the outcome."""
