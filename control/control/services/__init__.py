"""The platform's services: a module a service, each with one object `SERVICE`; a package a profile, with its own ones.

A module whose name begins with `_` holds none. `control.registry` finds them by their files.
"""
