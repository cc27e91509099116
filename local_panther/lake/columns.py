"""The columns of the lake's table, and how a record fills them."""

LAKE_TABLE = "panther_logs.public.aws_cloudtrail"
FAILED_TABLE = "panther_logs.public.p_failed_calls"  # those that have an error, for gates
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
PANTHER_TEXT = "p_log_type p_row_id p_source_id p_source_label"
PANTHER_LISTS = "p_any_aws_arns p_any_aws_account_ids p_any_ip_addresses p_any_usernames"
PANTHER_LISTS += " p_any_domain_names p_any_trace_ids p_any_aws_instance_ids p_any_aws_tags"
PANTHER_LISTS += " p_any_actor_ids p_any_emails"


def columns() -> list[tuple[str, str, str]]:
    """Return the columns of the log: name, type, and how the value is taken from a line.

    A line has the record `r`, the fields `p` that Panther adds to it, and its arrival `a`.
    """
    text = [(name, "VARCHAR", f"r.{name}") for name in TEXT.split()]
    variant = [(name, "JSON", f"NULLIF(r.{name}, 'null'::JSON)") for name in VARIANT]
    boolean = [(name, "BOOLEAN", f"TRY_CAST(r.{name} AS BOOLEAN)") for name in BOOLEAN.split()]
    times = [(name, "TIMESTAMP", "p.p_event_time") for name in ("eventTime", "p_event_time")]
    times.append(("p_parse_time", "TIMESTAMP", "a"))
    panther = [(name, "VARCHAR", f"p.{name}") for name in PANTHER_TEXT.split()]
    lists = [(name, "VARCHAR[]", f"p.{name}") for name in PANTHER_LISTS.split()]
    version = ("p_schema_version", "BIGINT", "0")
    return [*text, *variant, *boolean, *times, *panther, version, *lists]


def _create_table() -> str:
    types = ", ".join(f'"{name}" {kind}' for name, kind, _ in columns())
    return f"CREATE TABLE {LAKE_TABLE} ({types})"


def record_types() -> str:
    """Return the types of a record's fields, as DuckDB writes those of a STRUCT."""
    types = [f'"{name}" VARCHAR' for name in (TEXT + " " + BOOLEAN).split()]
    return ", ".join([*types, *(f'"{name}" JSON' for name in VARIANT)])


def added_types() -> str:
    """Return the types of the fields that Panther adds, as DuckDB writes those of a STRUCT."""
    types = [f'"{name}" VARCHAR' for name in PANTHER_TEXT.split()]
    types += [f'"{name}" VARCHAR[]' for name in PANTHER_LISTS.split()]
    return ", ".join([*types, '"p_event_time" TIMESTAMP'])


def _insert() -> str:
    """Return the statement that inserts a file of such lines."""
    forms = f"{{a: 'TIMESTAMP', p: 'STRUCT({added_types()})', r: 'STRUCT({record_types()})'}}"
    values = ", ".join(value for _, _, value in columns())
    read = f"read_json(?, format = 'newline_delimited', columns = {forms}, maximum_object_size = ?)"
    return f"INSERT INTO {LAKE_TABLE} SELECT {values} FROM {read}"


CREATE = _create_table()
INSERT = _insert()
TABLES = {"panther_logs": {"aws_cloudtrail": [(name, kind) for name, kind, _ in columns()]}}
