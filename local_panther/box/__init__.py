"""A box for the code of a content repository: it computes, and nothing else.

`environment` leaves it no secrets, `kernel` lets Linux refuse the network and all writing outside
of some folders, `watch` refuses what Python sees, by name and place. `entry` is what commands call.
"""
