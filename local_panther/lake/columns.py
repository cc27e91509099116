"""The columns of the lake's CloudTrail table, and the SQL that fills them from records.

The argument `names` of each function limits the columns; None means all of them.
"""

from collections.abc import Collection, Mapping

LAKE_TABLE = "panther_logs.public.aws_cloudtrail"
FAILED_TABLE = "panther_logs.public.p_failed_calls"  # records with an error code, for gates
VARIANT = (  # columns that hold objects and lists
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "resources",
    "serviceEventDetails",
    "tlsDetails",
    "addendum",
    "edgeDeviceDetails",
    "eventContext",
    "insightDetails",
)
TEXT = (
    "eventVersion eventSource eventName awsRegion sourceIPAddress userAgent errorCode errorMessage"
)
TEXT += " requestID eventID eventType recipientAccountId sharedEventID vpcEndpointId eventCategory"
TEXT += " apiVersion sessionCredentialFromConsole vpcEndpointAccountId"
BOOLEAN = "readOnly managementEvent"
TIME = "p_event_time"  # always among the columns
PANTHER_TEXT = "p_log_type p_row_id p_source_id p_source_label"
PANTHER_LISTS = "p_any_aws_arns p_any_aws_account_ids p_any_ip_addresses p_any_usernames"
PANTHER_LISTS += " p_any_domain_names p_any_trace_ids p_any_aws_instance_ids p_any_aws_tags"
PANTHER_LISTS += " p_any_actor_ids p_any_emails"


Names = Collection[str] | None


def columns(names: Names = None) -> list[tuple[str, str, str]]:
    """Return the columns of the log: name, type, and the SQL for the value in a line.

    A line has the record `r`, the fields `p` that Panther adds to it, and its arrival `a`.
    """
    text = [(name, "VARCHAR", f"r.{name}") for name in TEXT.split()]
    variant = [(name, "JSON", f"NULLIF(r.{name}, 'null'::JSON)") for name in VARIANT]
    boolean = [(name, "BOOLEAN", f"TRY_CAST(r.{name} AS BOOLEAN)") for name in BOOLEAN.split()]
    times = [(name, "TIMESTAMP", f"p.{TIME}") for name in ("eventTime", TIME)]
    times.append(("p_parse_time", "TIMESTAMP", "a"))
    panther = [(name, "VARCHAR", f"p.{name}") for name in PANTHER_TEXT.split()]
    lists = [(name, "VARCHAR[]", f"p.{name}") for name in PANTHER_LISTS.split()]
    version = ("p_schema_version", "BIGINT", "0")
    found = [*text, *variant, *boolean, *times, *panther, version, *lists]
    return [column for column in found if names is None or column[0] in names]


def create_table(names: Names = None) -> str:
    """Return the statement that creates the table."""
    types = ", ".join(f'"{name}" {kind}' for name, kind, _ in columns(names))
    return f"CREATE TABLE {LAKE_TABLE} ({types})"


def record_types(names: Names = None) -> str:
    """Return the types of a record's fields, in the syntax of a STRUCT in DuckDB."""
    types = dict.fromkeys((TEXT + " " + BOOLEAN).split(), "VARCHAR") | dict.fromkeys(
        VARIANT, "JSON"
    )
    return _struct(types, names)


def added_types(names: Names = None) -> str:
    """Return the types of the fields that Panther adds, in the syntax of a STRUCT in DuckDB."""
    types = dict.fromkeys(PANTHER_TEXT.split(), "VARCHAR")
    types |= dict.fromkeys(PANTHER_LISTS.split(), "VARCHAR[]")
    return _struct(types | {TIME: "TIMESTAMP"}, None if names is None else {*names, TIME})


def _struct(types: Mapping[str, str], names: Names) -> str:
    found = {name: kind for name, kind in types.items() if names is None or name in names}
    return ", ".join(f'"{name}" {kind}' for name, kind in found.items())


def insert_lines(names: Names = None) -> str:
    """Return the statement that inserts a file of lines; its parameters are path and line size."""
    record = record_types(names)
    forms = f"a: 'TIMESTAMP', p: 'STRUCT({added_types(names)})'"
    forms += f", r: 'STRUCT({record})'" if record else ""
    values = ", ".join(value for _, _, value in columns(names))
    read = f"?, format = 'newline_delimited', columns = {{{forms}}}, maximum_object_size = ?"
    return f"INSERT INTO {LAKE_TABLE} SELECT {values} FROM read_json({read})"


TABLES = {"panther_logs": {"aws_cloudtrail": [(name, kind) for name, kind, _ in columns()]}}
