"""Settings of "Failed Attempt to Elevate Privileges via Multiple AWS Roles". Change them here.

SQL and the correlation rules cannot read Python, so some of their files repeat a value. A comment
beside each such value names the setting that it has to agree with, and `local-panther test`
reports every value that does not, with its file and line and the setting's value.
"""

# How many distinct roles a principal must fail on, within how many minutes of event time.
THRESHOLD = 10
WINDOW_MINUTES = 60

# Principals that are expected to fail on many roles: no signal and no alert. Exact names as alerts
# show them under "principal", or patterns with * and ?:
#   "arn:aws:iam::*:role/InventoryScannerRole",
#   "identity-center:dana@example.com",
EXPECTED_PRINCIPALS: list[str] = []

# Roles whose session name is a person, because a SAML identity provider sets it: each session is a
# principal of its own. The beginnings of role names, such as "OktaSSO-". People of IAM Identity
# Center are recognised without it.
PERSON_ROLE_PREFIXES: list[str] = []

# True: all sessions of a role count as one principal, since the caller picks the session name and
# could rotate it. False: every userIdentity.arn is a principal of its own.
COLLAPSE_SESSIONS = True

# Automation tries a few role names in every account of an organisation, a search many roles in one.
# A burst is a search as soon as one account has THRESHOLD roles in the window. A fan-out that gets
# in is Critical as well if it tried more than FEW_NAMES roles in any one account.
FEW_NAMES = 3

# Without discovery, this many times THRESHOLD roles in one account make an alert of their own.
WITHOUT_DISCOVERY = 3

# A success counts from LEAD_MINUTES before the first failed attempt, or from the discovery if that
# came at most SUCCESS_MINUTES before it, until SUCCESS_MINUTES after the last attempt. On a role
# that had failed before, it counts at any later time. It does not count if the principal got into
# the same role in the HISTORY_HOURS before: that is routine.
LEAD_MINUTES = 10
SUCCESS_MINUTES = 60
HISTORY_HOURS = 26

# A role that opens this soon after it refused was new: AWS needs seconds to propagate a new role.
PROPAGATION_MINUTES = 3

# The rest follows from the settings above.

# A correlation rule misses no pair, whenever it runs, if its lookback exceeds the time between the
# two by its own rate (30 minutes) and CloudTrail's delivery delay (15 minutes).
LOOKBACK_MINUTES = WINDOW_MINUTES + 120

# The success query has to look back over the window, the time after the burst in which a success
# counts, its own rate (30 minutes) and the delivery delay (15 minutes). For the principal's routine
# it looks back further.
SUCCESS_LOOKBACK_MINUTES = WINDOW_MINUTES + SUCCESS_MINUTES + 60
HISTORY_MINUTES = SUCCESS_LOOKBACK_MINUTES + HISTORY_HOURS * 60


def person_role_pattern(prefixes: list[str]) -> str:
    """Return a regular expression for SQL that matches whole role names with these prefixes."""
    return "|".join(f"{prefix.replace('.', '[.]').replace('+', '[+]')}.*" for prefix in prefixes)


PERSON_ROLE_PATTERN = person_role_pattern(PERSON_ROLE_PREFIXES)
