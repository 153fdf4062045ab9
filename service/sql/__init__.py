"""Keeps: tables, the queue, the journal, and one repository a resource. Knows no HTTP."""
