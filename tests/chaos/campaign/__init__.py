"""Campaigns: a fleet of workers under a seeded schedule of faults, and a checker that reads everything afterwards.

Who knows what: the cluster under test (`node`) is killed and cut off. A second server, which nothing happens to, gets
the history of every row out of the first one's write-ahead log (`wal`, `archive`). The workers and clients write what
they did and saw into a file (`journal`). `checks` hold all three against each other.
"""
