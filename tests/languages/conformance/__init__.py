"""What every SDK must do, as scenarios that any worker can be put through: see sql/PROTOCOL.md."""
