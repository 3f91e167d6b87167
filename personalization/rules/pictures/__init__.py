"""Pictures of a record: do the bytes keep the form of their type from the first to the last, and do they decode?

Every format is first walked by a strict reader of our own, which knows the size before anything is decoded and
refuses what decoders forgive (cut data with a proper end, bytes after the end, other formats inside).
"""
