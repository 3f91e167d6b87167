"""The job API: HTTP under `/v1`, problems as RFC 9457, callers known by key."""
