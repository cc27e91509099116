"""A sandbox for the code of a content repository, which may compute and nothing else.

`environment` removes secrets. `kernel` has Linux refuse the network and writing outside some
folders. `watch` refuses actions that Python reports, and names the code. Commands call `entry`.
"""
