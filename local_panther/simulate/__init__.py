"""Generated CloudTrail: role attacks among ordinary records, in the shapes that AWS writes.

The userAgent of every record says that it is generated. A replay imports nothing from here.
"""
