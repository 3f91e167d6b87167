"""The rules an approved record must keep, one module per group; `personalization.records` runs them all.

Each group is a function that is given a `RecordView` and yields a `Failure` per broken rule.
"""
