"""Sides that need a process of their own; each is told what to do as JSON on standard input and answers in JSON."""
