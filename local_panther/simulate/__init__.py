"""Generated CloudTrail: role attacks among ordinary records, in the shapes that AWS writes.

Every record says that it is generated, in its userAgent. Nothing here is known to the replay.
"""
